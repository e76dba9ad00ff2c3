"""How far a writing library is, told from outside: by how much has appeared in the folder it writes to."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

Progress = Callable[[str, int, int | None], None]
_EVERY = 0.25


@contextlib.contextmanager
def growing(folder: Path, stage: str, size: int, progress: Progress) -> Iterator[None]:
    """Tell how many of about `size` bytes are in `folder` while open; at the end all of them."""
    done = threading.Event()
    before = _size(folder)

    def look() -> None:
        told = 0
        while not done.wait(_EVERY):
            there = max(0, min(_size(folder) - before, size))
            if there != told:
                told = there
                progress(stage, there, size)

    progress(stage, 0, size)
    thread = threading.Thread(target=look, name="growing", daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
    progress(stage, size, size)


def _size(folder: Path) -> int:
    total = 0
    for root, _, files in os.walk(folder):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(root, name)).st_size
    return total
