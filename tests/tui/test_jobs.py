"""The widgets of jobs: what is at work, what came out, what is asked before it is cancelled, what is found again."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.message import Message
from textual.pilot import Pilot

from tests.tui.given import Bench, rows_text, screen_text, until
from tuitune.errors import RunError
from tuitune.run import job as room
from tuitune.run.job import Job
from tuitune.tui.asking import Ask
from tuitune.tui.control import Level
from tuitune.tui.jobs import Jobs, Pace, at_work
from tuitune.tui.panes.job_rows import job_rows
from tuitune.tui.panes.jobs import JobsPane
from tuitune.tui.working import Working

WORK = """
import json, sys, time
def tell(**what): print(json.dumps(what), flush=True)
tell(kind="progress", stage="loss, tuned", done=10, total=40)
{rest}
"""
EVIL = "\x1b]0;PWN\x07[/nope]"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let jobs run a script that ends with these lines."""

    def put(rest: str) -> None:
        script = tmp_path / "work.py"
        script.write_text(WORK.format(rest=rest))
        monkeypatch.setattr(room, "PROGRAM", (sys.executable, str(script)))

    return put


class Desk(Working, Bench):
    """A bench that works in threads as the app does, and keeps what jobs tell."""

    def say(self, text: str, level: Level = "information") -> None:
        self.told.append(text)

    def copy(self, text: str) -> None:
        self.copied.append(text)

    def on_mount(self) -> None:
        self.told: list[str] = []
        self.news: list[tuple[str, str]] = []

    def on_jobs_pane_changed(self, message: Message) -> None:
        assert isinstance(message, JobsPane.Changed)
        self.news.append((message.job.title, message.pane.status(message.job)))


def pane() -> JobsPane:
    return JobsPane(
        ("evaluate", "export"), words=lambda job: [str((job.result or {}).get("path"))], empty="s starts one", digit="3"
    )


def on_desk(*works: Callable[[Pilot[None], Desk, JobsPane], Awaitable[None]], size: tuple[int, int] = (70, 24)) -> None:
    """Run each work on a bench of its own, one after the other: the app is opened again."""

    async def run() -> None:
        for work in works:
            own = pane()
            app = Desk(own)
            async with app.run_test(size=size) as pilot:
                own.focus()
                await work(pilot, app, own)

    asyncio.run(run())


def test_a_job_shows_how_far_it_is_then_what_came_out(program: Callable[[str], None], tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    waits = f"import pathlib\nwhile not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.02)"
    program(f"tell(kind='note', text='slow disk')\n{waits}\ntell(kind='result', path='there')")

    async def work(pilot: Pilot[None], app: Desk, own: JobsPane) -> None:
        assert "s starts one" in screen_text(app)
        own.begin("evaluate", "evaluate a", ["evaluate", "a"])
        await until(pilot, lambda: "10 of 40" in screen_text(app) and "slow disk" in screen_text(app))
        text = screen_text(app)
        assert "● evaluate a" in text
        assert "loss, tuned  ━" in text
        assert "1 at work   x cancels" in text
        gate.touch()
        await until(pilot, lambda: "✓ evaluate a" in screen_text(app) and "there" in screen_text(app))
        assert "10 of 40" not in screen_text(app)
        await until(pilot, lambda: app.news == [("evaluate a", "running"), ("evaluate a", "done")])

    on_desk(work)


def test_a_failure_says_what_to_do_and_shows_the_end_of_the_log(program: Callable[[str], None]) -> None:
    error = {"kind": "error", "message": f"no such data {EVIL}", "hint": "name a file", "problems": ["rows: is wrong"]}
    program(f"print('deep trouble', file=sys.stderr); tell(**{error!r})")

    async def work(pilot: Pilot[None], app: Desk, own: JobsPane) -> None:
        own.begin("export", f"export {EVIL}b", ["export", "b", "out dir"])
        await until(pilot, lambda: "failed" in screen_text(app) and "name a file" in screen_text(app))
        text = screen_text(app)
        assert "export [/nope]b" in text
        assert "no such data [/nope]" in text
        assert "rows: is wrong" in text
        assert "name a file" in text
        assert "deep trouble" not in text
        assert "\x1b" not in text
        await pilot.press("enter")
        await until(pilot, lambda: "deep trouble" in screen_text(app))
        await until(pilot, lambda: "tuitune export b 'out dir'" in screen_text(app))
        await pilot.press("y")
        assert app.copied
        assert app.copied[0].startswith("tuitune export b 'out dir'")
        assert "name a file" in app.copied[0]

    on_desk(work)


def test_cancelling_asks_first_with_the_safe_answer_before(program: Callable[[str], None]) -> None:
    program("time.sleep(600)")

    async def work(pilot: Pilot[None], app: Desk, own: JobsPane) -> None:
        await pilot.press("x")
        assert app.told == ["nothing is at work here"]
        own.begin("evaluate", "evaluate a", ["evaluate", "a"])
        await until(pilot, lambda: "10 of 40" in screen_text(app))
        await pilot.press("delete")
        assert app.told[-1] == "it is at work: x cancels it"
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press("enter")  # the answer that stands first
        await pilot.pause(0.6)
        assert [job.status for job in own.running] == ["running"]
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, Ask))
        await pilot.press("x")
        await until(pilot, lambda: "cancelled" in screen_text(app))
        assert own.running == []
        await pilot.press("delete")
        await until(pilot, lambda: "s starts one" in screen_text(app))
        assert Job.all() == []

    on_desk(work)


def test_jobs_go_on_without_the_app_and_are_found_again(program: Callable[[str], None]) -> None:
    program("time.sleep(600)")

    async def begin(pilot: Pilot[None], app: Desk, own: JobsPane) -> None:
        own.begin("evaluate", "evaluate a", ["evaluate", "a"])
        await until(pilot, lambda: bool(own.running))

    async def again(pilot: Pilot[None], app: Desk, own: JobsPane) -> None:
        await until(pilot, lambda: "10 of 40" in screen_text(app))
        assert [job.title for job in at_work()] == ["evaluate a"]
        at_work()[0].cancel()
        await until(pilot, lambda: "cancelled" in screen_text(app))

    async def later(pilot: Pilot[None], app: Desk, own: JobsPane) -> None:
        await until(pilot, lambda: "cancelled" in screen_text(app))
        await pilot.pause(0.6)
        assert app.news == []  # it had ended before
        assert at_work() == []

    on_desk(begin, again, later)


def test_only_jobs_of_the_kinds_of_a_screen_are_listed(program: Callable[[str], None]) -> None:
    program("tell(kind='result', path='x')")
    Job.start("serve", "a server", ["serve"])
    mine = Job.start("export", "an export", ["export"])
    jobs = Jobs(("export",))
    end = time.monotonic() + 60
    while time.monotonic() < end and (not jobs.jobs or jobs.status(jobs.jobs[0]) == "running"):
        jobs.look()
        time.sleep(0.05)
    assert [job.id for job in jobs.jobs] == [mine.id]
    assert jobs.status(jobs.jobs[0]) == "done"


def test_what_is_known_is_not_read_from_the_disk_again(
    program: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    program("tell(kind='result', path='x')")
    old = Job.start("serve", "a server", ["serve"])
    end = time.monotonic() + 60
    while old.status == "running" and time.monotonic() < end:
        time.sleep(0.05)
    opened: list[str] = []
    plain = Job._open.__func__  # type: ignore[attr-defined]
    monkeypatch.setattr(Job, "_open", classmethod(lambda cls, path: opened.append(path.name) or plain(cls, path)))
    monkeypatch.setattr("tuitune.tui.jobs._SCAN_EVERY", 0.0)
    watched = Jobs(("serve",), past=False)
    with monkeypatch.context() as patch:
        patch.setattr(Job, "read", lambda self: pytest.fail("what had ended before is no news"))
        assert [watched.look() for _ in range(3)] == [([], [])] * 3
    assert not watched.running
    assert opened == [old.id]
    program("time.sleep(600)")
    new = Job.start("serve", "another", ["serve"])
    try:
        assert [job.id for job in watched.look()[0]] == [new.id]
        assert opened == [old.id, new.id]
    finally:
        new.cancel()


def test_what_is_kept_of_a_cancelled_one_is_said(program: Callable[[str], None]) -> None:
    program("tell(kind='error', message='cancelled; rows are kept', hint='go on: --resume', problems=[], stopped=True)")

    async def work(pilot: Pilot[None], app: Desk, own: JobsPane) -> None:
        own.begin("evaluate", "evaluate a", ["evaluate", "a"])
        await until(pilot, lambda: "rows are kept" in screen_text(app))
        await until(pilot, lambda: "evaluate a cancelled" in screen_text(app))
        await until(pilot, lambda: "go on: --resume" in screen_text(app))

    on_desk(work)


def test_a_process_that_went_without_a_word_is_lost(program: Callable[[str], None]) -> None:
    program("import os; os.kill(os.getpid(), 9)")

    async def work(pilot: Pilot[None], app: Desk, own: JobsPane) -> None:
        own.begin("export", "export a", ["export", "a"])
        await until(pilot, lambda: "ended without a word" in screen_text(app))
        await until(pilot, lambda: "out of memory" in screen_text(app))

    on_desk(work)


def test_what_cannot_be_started_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "PROGRAM", ("/nowhere/python",))
    with pytest.raises(RunError):
        Job.start("export", "export a", ["export"])

    async def work(pilot: Pilot[None], app: Desk, own: JobsPane) -> None:
        own.begin("export", "export a", ["export", "a"])
        await until(pilot, lambda: bool(app.told))
        assert "cannot be started" in app.told[0]

    on_desk(work)


@pytest.mark.parametrize("width", [70, 44])
def test_how_far_answers_are_that_are_being_made_stands_beside_the_bar(tmp_path: Path, width: int) -> None:
    job = Job(tmp_path, "evaluate", "evaluate a", (), 0, 0.0, 0.0, ("answers, a", 3, 29), f"token 9 {EVIL}")
    text = rows_text(job_rows(job, "running", None, (), width, whole=False, brief=False))
    assert "answers, a" in text[0]
    assert "3 of 29" in text[0]
    assert "━" in text[-1]
    assert "token 9" in text[-1]
    assert max(map(len, text)) <= width
    assert not set("".join(text)) & set("\x1b\x07")


def test_the_time_left_is_told_by_the_pace_of_the_stage() -> None:
    pace = Pace("loss", since=100.0, first=10, done=10, total=40)
    assert pace.left(105.0) is None
    pace.done = 20
    assert pace.left(105.0) == pytest.approx(10.0)
    pace.total = None
    assert pace.left(105.0) is None
