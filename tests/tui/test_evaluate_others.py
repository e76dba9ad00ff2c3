"""Evaluations that others are at, and which of several interrupted ones is gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.tui.evaluated import a_run, data_items, evaluated, metrics
from tests.tui.given import offered, screen_text, until
from tests.tui.test_app import SMALL, WIDE, go, home, said  # noqa: F401
from tests.tui.test_evaluate_screen import listed, on_screen
from tuitune.run import RunDir, reached
from tuitune.run.evaluations import line_of
from tuitune.run.files import write_atomic
from tuitune.run.reached import Reached
from tuitune.tui.panes.jobs import JobsPane


@pytest.fixture
def run(home: Path) -> RunDir:  # noqa: F811
    return a_run(home / "runs", "tuned-one")


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Keep the commands that would begin."""
    commands: list[list[str]] = []
    monkeypatch.setattr(JobsPane, "begin", lambda self, kind, title, argv: commands.append(list(argv)))
    return commands


def change(folder: Path, **values: Any) -> None:
    before = json.loads((folder / "results.json").read_text())
    write_atomic(folder / "results.json", json.dumps({**before, **values}).encode())  # whole, as the command writes it


@pytest.mark.parametrize("size", [SMALL, WIDE])
def test_one_of_another_terminal_shows_how_far_it_is_and_its_figures_so_far(run: RunDir, size: tuple[int, int]) -> None:
    folder = evaluated(run, status="running", items=data_items()[:1], figures=())  # this very process is at it
    reached.tell(folder, Reached("loss, \x1b[31mtuned", 1, 4))

    async def work() -> None:
        async with on_screen(run, size) as (app, pilot, screen):
            await pilot.press("3")
            await until(pilot, lambda: "● loss, tuned 1 of 4" in screen_text(app))
            await until(pilot, lambda: "no figure is final yet" in screen_text(app))
            full = json.loads((evaluated(run, "20260101-000000-x", figures=metrics()[:1]) / "results.json").read_text())
            (folder / "predictions.jsonl").write_bytes(b"".join(map(line_of, data_items())))
            reached.tell(folder, Reached("answers, base", 2, 4, "token 9 of up to 64"))
            change(folder, metrics=full["metrics"])
            await until(pilot, lambda: "answers, base 2 of 4  token 9 of up to 64" in screen_text(app))
            await until(pilot, lambda: "0.550" in screen_text(app) and len(listed(screen)) == 4)
            change(folder, status="done")
            await until(pilot, lambda: "answers, base" not in screen_text(app) and "0.550" in screen_text(app))

    go(work)


def test_what_another_terminal_begins_meanwhile_is_told_and_shown_where_nothing_is(
    run: RunDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tuitune.tui.screens.evaluate_state._OTHERS_EVERY", 0.05)

    async def work() -> None:
        async with on_screen(run) as (app, pilot, screen):
            await until(pilot, lambda: "was not evaluated yet" in screen_text(app))
            first = evaluated(run, "20261123-050000-a", status="running", figures=())
            await until(pilot, lambda: screen.found is not None and screen.found.evaluation.path == first)
            change(first, status="done")
            await until(pilot, lambda: "it has no figures" in screen_text(app))
            second = evaluated(run, "20261123-060000-b", status="running", figures=())
            await until(pilot, lambda: "another terminal evaluates this model now: e" in said(app))
            assert screen.found is not None
            assert screen.found.evaluation.path == first  # what is being read stays
            await until(pilot, lambda: screen.folders == [second, first])

    go(work)


def test_the_interrupted_one_that_is_shown_is_gone_on_with_and_others_are_told(
    run: RunDir, begun: list[list[str]]
) -> None:
    older = evaluated(run, "20261122-050000-a", status="interrupted")
    evaluated(run, status="interrupted")

    async def work() -> None:
        async with on_screen(run) as (app, pilot, _):
            await until(pilot, lambda: "1 of 2" in screen_text(app))
            await pilot.press("3", "left")
            await until(pilot, lambda: "2 of 2" in screen_text(app))
            await pilot.press("r")
            await until(pilot, lambda: begun == [["evaluate", str(run.path), "--resume", "--name", older.name]])
            await until(pilot, lambda: f"goes on with {older.name}; 1 more was interrupted: e" in said(app))

    go(work)


def test_where_the_one_that_is_shown_is_done_it_is_asked_which(run: RunDir, begun: list[list[str]]) -> None:
    older = evaluated(run, "20261122-050000-a", status="interrupted")
    evaluated(run)

    async def work() -> None:
        async with on_screen(run) as (app, pilot, _):
            await until(pilot, lambda: "1 of 2" in screen_text(app))
            await pilot.press("r")
            await until(pilot, lambda: offered(app) and "Go on with which evaluation?" in screen_text(app))
            assert screen_text(app).count("loss 0.55") == 1  # the one that is done is none of them
            await pilot.press("enter")
            await until(pilot, lambda: begun == [["evaluate", str(run.path), "--resume", "--name", older.name]])
            change(older, status="done")
            await pilot.press("r")
            await until(pilot, lambda: "no evaluation of this model was interrupted" in said(app))

    go(work)
