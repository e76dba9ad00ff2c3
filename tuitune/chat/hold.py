"""Who has a kept conversation open: two programs that went on with one file would mix what is said in them."""

from __future__ import annotations

import fcntl
import os
import weakref
from pathlib import Path


class Hold:
    """A folder or file that somebody goes on with, until `release`, or until the process is gone, however that happens.

    It ends, too, with whatever keeps it.
    """

    def __init__(self, fd: int | None) -> None:
        self._end = weakref.finalize(self, os.close, fd) if fd is not None else None

    @classmethod
    def take(cls, place: Path) -> Hold | None:
        """Return it, None where somebody else has it open; a file system without locks holds nobody back."""
        try:
            fd = os.open(place, os.O_RDONLY)
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
        if self._end is not None:
            self._end()
