"""A folder that is there whole or not at all, and readable for nobody else until its owner shares it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tuitune import amounts
from tuitune.errors import ModelError, UsageError
from tuitune.fit.machine import disk_free
from tuitune.run import places
from tuitune.run.files import PRIVATE_DIR, PRIVATE_FILE, disk_is_full, private_dir

SLACK = 64 << 20  # what the file system takes, and others write meanwhile
_MARK = ".tuitune-partial"
_PARTIAL = re.compile(r"\..+\.partial-[0-9]+")
MORE_ROOM = "free some space, or name a folder on another disk"


def refuse_existing(out: Path) -> None:
    """Raise UsageError where something is in the way of `out`: nothing of a user's is overwritten."""
    if out.exists() or out.is_symlink():
        raise UsageError(f"{out} exists already", "name a folder that is not there yet; nothing is overwritten")


def refuse_full(out: Path, size: int, hint: str = MORE_ROOM) -> None:
    """Raise ModelError where `size` bytes do not fit beside `out`."""
    free, need = disk_free(out.parent), size + SLACK
    if free is not None and free < need:
        raise ModelError(
            f"{out.name} needs {amounts.size(need)}, and {out.parent} has {amounts.size(free)} free",
            hint,
        )


@contextmanager
def made_whole(out: Path, size: int, hint: str = MORE_ROOM) -> Iterator[Path]:
    """Yield a temporary folder beside `out` that becomes it at the end; after an error nothing is left.

    Whatever libraries write with which mode, folders and files are the owner's alone then.

    size: bytes that will be written; hint: what to do where there is no room for them. What processes that died have
    left beside `out` is removed first. Raises UsageError when `out` exists, ModelError when it cannot be made.
    """
    refuse_existing(out)
    sweep(out.parent)
    refuse_full(out, size, hint)
    temporary = out.parent / f".{out.name}.partial-{os.getpid()}"
    try:
        _parent(out)
        private_dir(temporary)
        mark = temporary / _MARK
        mark.write_text(_own())
        yield temporary
        mark.unlink()
        _keep_private(temporary)
        refuse_existing(out)
        temporary.rename(out)
    except Exception as error:
        full = disk_is_full(error)
        if not full and not isinstance(error, OSError):
            raise
        why = "the disk is full" if full else getattr(error, "strerror", None) or error
        raise ModelError(f"{out} cannot be written: {why}", hint if full else "") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _parent(out: Path) -> None:
    """Make the folder that `out` shall lie in; within TuiTune's home it is private as all there is."""
    if out.is_relative_to(places.home()):
        private_dir(out.parent)
    else:
        out.parent.mkdir(parents=True, exist_ok=True)


def _keep_private(folder: Path) -> None:
    for root, folders, files in os.walk(folder):
        for names, mode in ((folders, PRIVATE_DIR), (files, PRIVATE_FILE)):
            for name in names:
                os.chmod(os.path.join(root, name), mode)


def sweep(folder: Path) -> list[Path]:
    """Remove what exports of processes that are gone have left in `folder`; return what was removed."""
    removed = []
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if _PARTIAL.fullmatch(path.name) and not path.is_symlink() and _left(path):
                shutil.rmtree(path, ignore_errors=True)
                removed.append(path)
    return removed


def _left(path: Path) -> bool:
    """Whether a folder is one of ours whose process has gone; one of another machine's may be at work."""
    try:
        host, pid, born = (path / _MARK).read_text().split("\n")
    except (OSError, ValueError):
        return False
    if host != socket.gethostname():
        return False
    try:
        return abs(psutil.Process(int(pid)).create_time() - float(born)) > 1
    except psutil.NoSuchProcess:
        return True
    except (psutil.Error, ValueError):
        return False


def _own() -> str:
    return f"{socket.gethostname()}\n{os.getpid()}\n{psutil.Process().create_time()}"
