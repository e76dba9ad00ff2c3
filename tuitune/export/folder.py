"""A folder that is there whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tuitune.errors import ModelError, UsageError
from tuitune.fit.machine import disk_free

_SLACK = 64 << 20  # tokenizer, configuration, what the file system takes

_MORE_ROOM = "free some space, name a folder on another disk, or choose --dtype bfloat16"


def refuse_existing(out: Path) -> None:
    """Raise UsageError where something is in the way of `out`: nothing of a user's is overwritten."""
    if out.exists() or out.is_symlink():
        raise UsageError(f"{out} exists already", "name a folder that is not there yet; nothing is overwritten")


@contextmanager
def made_whole(out: Path, size: int, hint: str = _MORE_ROOM) -> Iterator[Path]:
    """Yield a temporary folder beside `out` that becomes it at the end; after an error nothing is left.

    size: bytes that will be written; hint: what to do where there is no room for them. Raises UsageError when `out`
    exists, ModelError when it cannot be made.
    """
    refuse_existing(out)
    free = disk_free(out.parent)
    if free is not None and free < size + _SLACK:
        raise ModelError(
            f"{out.name} needs {size / 1e9:.1f} GB, and {out.parent} has {free / 1e9:.1f} GB free",
            hint,
        )
    temporary = out.parent / f".{out.name}.partial-{os.getpid()}"
    try:
        temporary.mkdir(parents=True)
        yield temporary
        refuse_existing(out)
        temporary.rename(out)
    except OSError as error:
        raise ModelError(f"{out} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
