"""The comparisons that are kept: which there are, which of them somebody has open, which a crash cut off."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from tuitune.chat.comparefile import NAMES
from tuitune.chat.partial import Partial
from tuitune.errors import TuiTuneError
from tuitune.run import places


class Hold:
    """A folder that somebody goes on with, until `release`, or until the process is gone, however that happens."""

    def __init__(self, fd: int | None) -> None:
        self._fd = fd

    @classmethod
    def take(cls, folder: Path) -> Hold | None:
        """Return it, None where somebody else has the folder open; a file system without locks holds nobody back."""
        try:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return cls(None)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        except OSError:
            os.close(fd)
            return cls(None)
        return cls(fd)

    def release(self) -> None:
        """Let others go on with it."""
        fd, self._fd = self._fd, None
        if fd is not None:
            os.close(fd)


def cut_off(folder: Path) -> bool:
    """Tell whether an answer was being written there when its process died."""
    if not any(Partial.is_left(folder / f"{name}.jsonl") for name in NAMES):
        return False
    hold = Hold.take(folder)
    if hold is not None:
        hold.release()
    return hold is not None


def earlier(most: int = 100) -> list[Path]:
    """Return the folders of kept comparisons, newest first."""
    try:
        found = [path for path in (places.home() / "comparisons").iterdir() if path.is_dir()]
    except (OSError, TuiTuneError):
        return []
    return sorted(found, key=lambda path: path.name, reverse=True)[:most]
