from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import orjson
import psutil
import pytest

from tuitune.errors import RunError
from tuitune.run import RunDir
from tuitune.run.process import detach, holder, host_command, lives

TELL = (
    "import json, os, sys; print('started', flush=True); os.write(2, b'raw\\n'); "
    "told = {'argv': sys.argv[1:], 'sid': os.getsid(0), 'pid': os.getpid(), 'cwd': os.getcwd(), "
    "'stdin': os.read(0, 1).decode(), "
    "'fds': [fd for fd in range(3, 64) if os.path.exists(f'/proc/self/fd/{fd}')]}; "
    "open('told.tmp', 'w').write(json.dumps(told)); os.rename('told.tmp', 'told'); "
)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDir:
    monkeypatch.chdir(tmp_path)
    return RunDir.create(tmp_path / "run; touch hacked", "seed: 1\n")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


def test_a_detached_process_has_a_session_of_its_own_and_prints_to_the_log(run: RunDir, tmp_path: Path) -> None:
    run.console.write_text("before\n")
    pid = detach(run, [sys.executable, "-c", TELL + "import time; time.sleep(60)", "a b; $HOME", str(run.path)])
    try:
        until((tmp_path / "told").exists)
        told = orjson.loads((tmp_path / "told").read_bytes())
        assert (told["pid"], told["sid"]) == (pid, pid)
        assert told["sid"] != os.getsid(0)
        assert told["argv"] == ["a b; $HOME", str(run.path)]
        assert (told["cwd"], told["stdin"]) == (str(tmp_path), "")
        assert set(told["fds"]) <= {3}  # the listing itself
        assert run.console.read_text() == "before\nstarted\nraw\n"
        assert not (tmp_path / "hacked").exists()
        assert psutil.Process(pid).terminal() is None
    finally:
        os.kill(pid, signal.SIGKILL)


def test_a_child_that_ended_is_no_zombie(run: RunDir) -> None:
    pid = detach(run, [sys.executable, "-c", "pass"])
    until(lambda: not psutil.pid_exists(pid))


def test_the_default_is_the_host_of_the_run(run: RunDir) -> None:
    assert host_command(run) == [sys.executable, "-m", "tuitune", "_host", str(run.path)]


def test_what_cannot_be_started_is_explained(run: RunDir, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no-such-program cannot be started"):
        detach(run, [str(tmp_path / "no-such-program")])


def test_a_number_is_held_by_the_process_itself_by_an_unclear_one_or_by_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    child = psutil.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    born = child.create_time()
    assert (holder(child.pid, born), lives(child.pid, born)) == ("itself", True)
    child.send_signal(signal.SIGSTOP)  # as ctrl+z does
    until(lambda: child.status() == psutil.STATUS_STOPPED)
    assert lives(child.pid, born + 1)  # a clock that was nudged
    assert (holder(child.pid, born - 60), lives(child.pid, born - 60)) == ("unclear", False)
    child.kill()
    until(lambda: child.status() == psutil.STATUS_ZOMBIE)
    assert holder(child.pid, born) == "nobody"
    child.wait()
    assert [holder(pid, born) for pid in (child.pid, -1, 1 << 80)] == ["nobody"] * 3

    def refuse(self: psutil.Process) -> float:
        raise psutil.AccessDenied(self.pid)

    monkeypatch.setattr(psutil.Process, "status", refuse)
    assert (holder(os.getpid(), 0.0), lives(os.getpid(), 0.0)) == ("unclear", False)
