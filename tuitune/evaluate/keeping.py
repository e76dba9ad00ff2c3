"""What is said where results cannot be written: a full disk, a folder that is only read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tuitune.errors import RunError
from tuitune.run.files import disk_is_full

_ELSEWHERE = "save_dir=FOLDER"


class Unwritten(RunError):
    """Results cannot be written where they belong; `full`: for want of room."""

    def __init__(self, folder: Path, error: OSError) -> None:
        self.full = disk_is_full(error)
        why = "the disk is full" if self.full else error.strerror or str(error)
        room = f"free some space, or name a folder on another disk: {_ELSEWHERE}"
        hint = room if self.full else f"name a folder that can be written: {_ELSEWHERE}"
        super().__init__(f"results cannot be written in {folder}: {why}", hint)


@contextmanager
def keeping(folder: Path) -> Iterator[None]:
    """Turn what the system says of writing in `folder` into words. Raises Unwritten."""
    try:
        yield
    except OSError as error:
        raise Unwritten(folder, error) from error
