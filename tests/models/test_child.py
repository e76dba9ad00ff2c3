from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tuitune.errors import ModelError
from tuitune.models import child, work
from tuitune.models.child import run_command, run_task

_SLEEPER = """
import os, sys, tuitune.models.work as work
sys.path.insert(0, sys.argv[1])
work.TASKS["sleep"] = ("sleeper:sleep", "it")
print(os.getpid(), flush=True)
work.main(["sleep", "{}"])
"""


class Stop(Exception):
    pass


def _nothing() -> None:
    """Go on."""


def _gone(pid: int, seconds: float = 120) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.02)
    return False


def test_lines_status_and_the_end_of_the_errors() -> None:
    lines: list[str] = []
    code = "import sys; print('a\\nb'); print('bad \\x1b[2J luck', file=sys.stderr); sys.exit(3)"
    status, tail = run_command([sys.executable, "-c", code], line=lines.append, check=_nothing)
    assert ([line.strip() for line in lines], status, tail) == (["a", "b"], 3, "bad  luck")


def test_a_check_that_raises_ends_the_process() -> None:
    pids: list[int] = []

    def check() -> None:
        if pids:
            raise Stop

    code = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"
    with pytest.raises(Stop):
        run_command([sys.executable, "-c", code], line=lambda text: pids.append(int(text)), check=check)
    assert _gone(pids[0])


def test_a_process_that_does_not_listen_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []

    def check() -> None:
        if pids:
            raise Stop

    code = (
        "import os, signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "print(os.getpid(), flush=True); time.sleep(600)"
    )
    monkeypatch.setattr(child, "_PATIENCE_SECONDS", 0.2)
    with pytest.raises(Stop):
        run_command([sys.executable, "-c", code], line=lambda text: pids.append(int(text)), check=check)
    assert _gone(pids[0])


def test_a_task_whose_caller_is_gone_ends(tmp_path: Path) -> None:
    (tmp_path / "sleeper.py").write_text("import time\ndef sleep(progress):\n    time.sleep(600)\n")
    process = subprocess.Popen(
        [sys.executable, "-c", _SLEEPER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdout.readline()
    process.stdin.close()
    assert process.wait(timeout=300) == 1
    process.stdout.close()


def test_errors_of_a_task_come_back_in_its_words(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as raised:
        run_task("hub", {"repo": "a/b"}, progress=lambda *report: None, check=_nothing)
    assert "TypeError" in raised.value.message


def test_a_task_that_dies_is_reported_with_its_status(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "run_command", lambda *a, **k: (-9, ""))
    with pytest.raises(ModelError) as raised:
        run_task("hub", {}, progress=lambda *report: None, check=_nothing)
    assert "signal 9" in raised.value.message
    assert "memory" in raised.value.hint


def test_library_bars_become_progress_of_the_present_stage(capsys: pytest.CaptureFixture[str]) -> None:
    code = (
        "import sys, tuitune.models.work as work\n"
        "reporter = work.Reporter(sys.stdout)\n"
        "work.redirect_bars(reporter, 'B')\n"
        "from tqdm.auto import tqdm\n"
        "reporter.progress('download', 0, None)\n"
        "bar = tqdm(total=10, unit='B', mininterval=0)\n"
        "bar.update(10); bar.refresh(); bar.close()\n"
        "for _ in tqdm(range(3), mininterval=0): pass\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.split("\n")
    assert '{"stage": "download", "done": 10, "total": 10}' in lines
    assert not any('"total": 3' in line for line in lines)
    assert done.stderr == ""


def test_reports_are_thinned() -> None:
    class Out:
        count = 0

        def write(self, text: str) -> None:
            self.count += 1

        def flush(self) -> None:
            pass

    out = Out()
    reporter = work.Reporter(out)  # type: ignore[arg-type]
    for step in range(1001):
        reporter.progress("x", step, 1000)
    assert 2 <= out.count < 200
