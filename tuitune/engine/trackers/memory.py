"""What a run remembers of one tracker, so that a later attempt goes on with the same run there and repeats nothing."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from tuitune.errors import RunError
from tuitune.run.files import PRIVATE_FILE, private_dir, write_atomic
from tuitune.run.packing import pack, record, restore

_LOCK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Memory:
    """id: the tracker's name for the run. step, evaluated: the last logged step and evaluation that were sent."""

    id: str = ""
    where: str = ""
    step: int = -1
    evaluated: int = -1

    @classmethod
    def read(cls, run: Path, name: str) -> Memory:
        """Return what is remembered; a damaged file is nothing."""
        try:
            values = orjson.loads(_file(run, name).read_bytes())
            return restore(cls, values) if isinstance(values, dict) else cls()
        except (OSError, ValueError):
            return cls()

    def write(self, run: Path, name: str) -> None:
        """Keep it in the run."""
        write_atomic(_file(run, name), pack(record(self)) + b"\n")


def _file(run: Path, name: str) -> Path:
    return private_dir(run / "trackers") / f"{name}.json"


@contextlib.contextmanager
def alone(run: Path, name: str) -> Iterator[None]:
    """Be the only one who reports this run to this tracker. Raises RunError where an earlier attempt does not end."""
    fd = os.open(_file(run, name).with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, PRIVATE_FILE)
    try:
        _lock(fd, name)
        yield
    finally:
        os.close(fd)


def _lock(fd: int, name: str) -> None:
    until = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > until:
                raise RunError(f"the attempt before this one is still reporting to {name}") from None
            time.sleep(0.2)
