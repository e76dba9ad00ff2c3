from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tuitune.errors import RunError
from tuitune.run import state as module
from tuitune.run.state import Heartbeat, State, liveness, refuse_suspended


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.01)


@pytest.fixture
def child() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])


def state_of(pid: int) -> State:
    return replace(State.here(), pid=pid, started=psutil.Process(pid).create_time(), status="running")


def test_a_state_comes_back_as_it_was_and_is_private(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    before = os.umask(0o022)
    try:
        state = replace(State.here(attempt=2, detached=True), status="paused", step=3, total_steps=9, phase="train")
        state.write(path)
    finally:
        os.umask(before)
    assert State.read(path) == state
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"{}", b'{"pid":"1","started":0}'])
def test_a_state_that_says_nothing_is_none(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.json"
    assert State.read(path) is None
    path.write_bytes(content)
    assert State.read(path) is None


def test_a_living_process_is_live_and_a_killed_one_crashed(child: subprocess.Popen[bytes]) -> None:
    state = state_of(child.pid)
    assert liveness(state) == "live"
    # However old the heartbeat is: the process is there, perhaps stopped or waiting for its disk.
    assert liveness(state, time.time() + 3600) == "live"
    child.send_signal(signal.SIGKILL)
    until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    assert liveness(state) == "crashed"
    child.wait()
    assert liveness(state) == "crashed"


@pytest.mark.parametrize("status", ["finished", "stopped", "failed"])
def test_what_ended_is_done_whoever_has_the_number_now(status: module.Status) -> None:
    assert liveness(replace(State.here(), status=status)) == "done"
    assert liveness(replace(State.here(), status=status, pid=1 << 22)) == "done"


def test_another_process_with_the_number_does_not_revive_a_run() -> None:
    state = replace(State.here(), started=1000.0)
    assert liveness(state, state.heartbeat + 61) == "crashed"
    # The clock may have been set: a heart that beats is alive.
    assert liveness(state, state.heartbeat + 5) == "live"


@pytest.mark.parametrize("change", [{"host": "elsewhere"}, {"boot": "another boot"}])
def test_elsewhere_only_the_heartbeat_tells(change: dict[str, str]) -> None:
    state = replace(State.here(), pid=1 << 22, **change)  # type: ignore[arg-type]
    assert liveness(state, state.heartbeat + 59) == "live"
    assert liveness(state, state.heartbeat + 61) == "crashed"


def test_nothing_written_is_unknown() -> None:
    assert liveness(None) == "unknown"


def test_the_heart_beats_and_tells_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LEAST_GAP", 0.01)
    path = tmp_path / "state.json"

    def seen() -> State:
        state = State.read(path)
        assert state is not None
        return state

    with Heartbeat(path, replace(State.here(), heartbeat=0.0), every=0.02) as heart:
        first = seen().heartbeat
        assert first > 0
        until(lambda: seen().heartbeat > first)
        heart.update(status="running")
        assert seen().status == "running"
        heart.update(step=5, phase="train")
        until(lambda: seen().step == 5)
        assert heart.state.phase == "train"
        heart.update(status="finished", step=6)
    assert (seen().status, seen().step) == ("finished", 6)


def test_steps_do_not_wait_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    monkeypatch.setattr(State, "write", lambda self, path: writes.append(self.step))
    with Heartbeat(tmp_path / "state.json", State.here(), every=3600) as heart:
        for step in range(10_000):
            heart.update(step=step)
        until(lambda: writes[-1] == 9_999)
    assert len(writes) < 1000


def test_a_full_disk_does_not_stop_the_heart(tmp_path: Path) -> None:
    path = tmp_path / "gone" / "state.json"
    heart = Heartbeat(path, State.here(), every=3600)
    with heart:
        heart.update(status="running")
        assert isinstance(heart.error, OSError)
        path.parent.mkdir()
        heart.update(status="paused")
        assert heart.error is None
    written = State.read(path)
    assert written is not None
    assert written.status == "paused"


def test_a_suspended_process_is_told_from_a_busy_one() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        state = replace(State.here(), pid=child.pid)
        refuse_suspended(state, "one")
        child.send_signal(signal.SIGSTOP)
        until(lambda: psutil.Process(child.pid).status() == psutil.STATUS_STOPPED)
        with pytest.raises(RunError, match="suspended"):
            refuse_suspended(state, "one")
    finally:
        child.kill()
        child.wait()
