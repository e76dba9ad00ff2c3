"""Commands at work in processes of their own."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.given import until
from tuitune.errors import RunError
from tuitune.run import job as room
from tuitune.run.job import Job

WORK = """
import json, sys, time
def tell(**what): print(json.dumps(what), flush=True)
assert sys.argv[-1] == "--json"
tell(kind="progress", stage="load", done=1, total=4)
tell(kind="note", text="a note")
tell(kind="request", id=7)
print("no JSON", flush=True)
print("to the log", file=sys.stderr)
{rest}
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let jobs run a script that ends with these lines."""

    def put(rest: str) -> None:
        script = tmp_path / "work.py"
        script.write_text(WORK.format(rest=rest))
        monkeypatch.setattr(room, "PROGRAM", (sys.executable, str(script)))

    return put


def ended(job: Job, seconds: float = 120.0) -> Job:
    stop = time.monotonic() + seconds
    while job.status == "running" and time.monotonic() < stop:
        job.read()
        time.sleep(0.02)
    job.read()
    return job


def test_a_job_tells_how_far_it_is_and_what_came_out(program: Callable[[str], None]) -> None:
    program("tell(kind='progress', stage='load', done=4, total=4); tell(kind='result', path='there')")
    job = ended(Job.start("export", "a run", ["export", "a"]))
    assert (job.status, job.progress, job.notes) == ("done", ("load", 4, 4), ["a note"])
    assert job.result == {"kind": "result", "path": "there"}
    assert job.lines == [{"kind": "request", "id": 7}]
    assert job.last_words() == ["to the log"]


def test_a_job_is_found_again_by_another_process_with_all_it_told(program: Callable[[str], None]) -> None:
    program("time.sleep(60)")
    started = Job.start("serve", "a server", ["serve", "a"])
    [job] = Job.all("serve")
    until(lambda: job.read() and bool(job.notes))
    assert (job.id, job.title, job.argv, job.status) == (started.id, "a server", ("serve", "a"), "running")
    assert Job.all("export") == []
    with pytest.raises(RunError, match="still at work"):
        job.forget()
    job.cancel()
    assert ended(job).status == "cancelled"
    job.forget()
    assert Job.all() == []


def test_it_outlives_whoever_started_it_and_is_private(program: Callable[[str], None]) -> None:
    program("time.sleep(60)")
    job = Job.start("serve", "a server", ["serve"])
    try:
        assert os.getsid(job.pid) == job.pid != os.getsid(0)
        assert job.path.stat().st_mode & 0o077 == 0
        assert all(file.stat().st_mode & 0o077 == 0 for file in job.path.iterdir())
    finally:
        job.cancel()
        ended(job)


@pytest.mark.parametrize(
    ("rest", "status"),
    [
        ("tell(kind='error', message='no room', hint='make some', stopped=False)", "failed"),
        ("tell(kind='error', message='cancelled', hint='', stopped=True)", "cancelled"),
        ("print('error: no room\\n  hint: make some', file=sys.stderr); sys.exit(2)", "failed"),
        ("import os; os._exit(3)", "lost"),
    ],
)
def test_however_it_ends_it_is_said(rest: str, status: str, program: Callable[[str], None]) -> None:
    program(rest)
    job = ended(Job.start("export", "a run", []))
    assert job.status == status
    if status == "failed":
        assert job.error is not None
        assert (job.error["message"], job.error["hint"]) == ("no room", "make some")


def test_another_process_with_the_number_is_not_the_job(program: Callable[[str], None]) -> None:
    program("pass")
    job = ended(Job.start("export", "a run", []))
    job.pid, job.born = os.getpid(), job.born - 1000
    assert job.status == "lost"
    job.cancel()  # and is not sent a signal
