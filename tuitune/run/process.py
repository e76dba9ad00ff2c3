"""Start an engine in a process of its own, which outlives the terminal."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import psutil

from tuitune.errors import RunError
from tuitune.run.directory import RunDir
from tuitune.run.files import PRIVATE_FILE

_SAME_START = 2.0  # seconds between what two clocks say of the start of one process


def host_command(run_dir: RunDir) -> list[str]:
    """Return the command line that trains in `run_dir` without a screen."""
    return [sys.executable, "-m", "tuitune", "_host", str(run_dir.path)]


def detach(run_dir: RunDir, argv: Sequence[str] | None = None) -> int:
    """Start `argv` (default: the host of `run_dir`) in a session of its own and return its process number.

    It has no terminal, prints to the end of the run's log and keeps the current directory; no shell is involved.
    Raises RunError when it cannot be started.
    """
    command = host_command(run_dir) if argv is None else list(argv)
    try:
        log = os.open(run_dir.console, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
        try:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, close_fds=True
            )
        finally:
            os.close(log)
    except OSError as error:
        place = Path(command[0]).name
        raise RunError(f"{place} cannot be started for {run_dir.path}: {error.strerror}") from error
    # Waited for, so that it does not stay a zombie should it end before this process does.
    threading.Thread(target=child.wait, name=f"wait-{child.pid}", daemon=True).start()
    return child.pid


def lives(pid: int, born: float) -> bool:
    """Tell whether the process that had this number at `born` (seconds since 1970) is still there."""
    try:
        process = psutil.Process(pid)
        same = abs(process.create_time() - born) <= _SAME_START
        # A zombie has ended; only its parent has not looked yet.
        return same and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, ValueError):
        return False
