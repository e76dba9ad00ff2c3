"""Start an engine in a process of its own, which outlives the terminal, and tell whether a process is still there."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psutil

from tuitune.errors import RunError
from tuitune.run.files import PRIVATE_FILE

if TYPE_CHECKING:
    from tuitune.run.directory import RunDir

Holder = Literal["itself", "unclear", "nobody"]
_SAME_START = 2.0  # seconds: creation times come from the clock, which a time service may nudge


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


def holder(pid: int, born: float) -> Holder:
    """Tell who has this process number now: the process that was born then (seconds since 1970), or nobody.

    "unclear": a process that began at another time, after which the clock may have been set, or one that may not be
    looked at.
    """
    try:
        process = psutil.Process(pid)
        # A zombie has ended; only its parent has not looked yet.
        if process.status() == psutil.STATUS_ZOMBIE:
            return "nobody"
        return "itself" if abs(process.create_time() - born) <= _SAME_START else "unclear"
    except psutil.AccessDenied:
        return "unclear"
    except (psutil.Error, ValueError):
        return "nobody"


def lives(pid: int, born: float) -> bool:
    """Tell whether the process that had this number at `born` is still there, as far as anybody can know."""
    return holder(pid, born) == "itself"
