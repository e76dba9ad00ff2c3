"""One process at a time for one thing in the cache."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from tuitune.models.child import Check, Progress

_POLL_SECONDS = 0.1


@contextlib.contextmanager
def locked(path: Path, *, progress: Progress, check: Check) -> Iterator[None]:
    """Hold the lock file `path`; while another process holds it, wait, report and listen for the end.

    The lock belongs to the open file, so it goes when its owner dies, however that happens. The file stays: removing it
    would let two processes hold locks on two files of one name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                progress("wait for another process", 0, None)
                check()
                time.sleep(_POLL_SECONDS)
        yield
    finally:
        os.close(handle)
