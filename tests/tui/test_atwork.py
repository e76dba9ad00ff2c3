"""What is at work beside a run is told on every screen, and how it ended."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.tui.given import screen_text
from tests.tui.test_app import MIDDLE, SMALL, go, home, made, opened, recipe, said, until  # noqa: F401
from tuitune.run import job as room
from tuitune.run.job import Job
from tuitune.tui.app import TuiTune

WORK = """
import json, pathlib, sys, time
def tell(**what): print(json.dumps(what), flush=True)
tell(kind="progress", stage="loss, tuned", done=10, total=40)
while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.02)
"""
DONE = 'tell(kind="result", path="/out")'
FAILED = 'tell(kind="error", message="there is no data set nosuch"); sys.exit(1)'


def top(app: TuiTune) -> str:
    return next(iter(screen_text(app).splitlines()), "◆ not drawn yet")


def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rest: str) -> tuple[str, Path]:
    script, ends = tmp_path / "work.py", tmp_path / "ends"
    script.write_text(WORK + rest)
    monkeypatch.setattr(room, "PROGRAM", (sys.executable, str(script)))
    return str(ends), ends


@pytest.mark.parametrize("size", [MIDDLE, SMALL])
def test_the_first_line_tells_of_work_and_a_message_of_its_end(
    recipe: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    size: tuple[int, int],
) -> None:
    argument, ends = work(tmp_path, monkeypatch, DONE)

    async def at_the_bench() -> None:
        app = made(recipe)
        async with opened(app, size) as pilot:
            Job.start("evaluate", "evaluate tuned", [argument])
            await until(pilot, lambda: "◆ evaluate 25 %" in top(app))
            Job.start("serve", "serve tuned", [argument])
            await until(pilot, lambda: "◆ 2 at work" in top(app))
            ends.touch()
            await until(pilot, lambda: "evaluate tuned is done: see Evaluate" in said(app))
            await until(pilot, lambda: "◆" not in top(app))

    go(at_the_bench)


def test_what_failed_elsewhere_is_said_and_its_own_screen_says_it_itself(
    recipe: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    argument, ends = work(tmp_path, monkeypatch, FAILED)

    async def at_the_bench() -> None:
        app = made(recipe)
        async with opened(app) as pilot:
            Job.start("push", "push out", [argument])
            await until(pilot, lambda: "◆ push 25 %" in top(app))
            ends.touch()
            wanted = "push out failed: there is no data set nosuch; see Export"
            await until(pilot, lambda: wanted in said(app))
            ends.unlink()
            app.show_screen("export")
            Job.start("export", "export it", [argument])
            await until(pilot, lambda: "◆ export 25 %" in top(app))
            ends.touch()
            await until(pilot, lambda: "◆" not in top(app))
            assert "export it failed: there is no data set nosuch; see" not in said(app)

    go(at_the_bench)
