"""The end of a growing text file, in clean lines."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

from tuitune.text import clean

_FIRST = 128 << 10  # bytes read of a file that is already there
_MOST_REST = 64 << 10
LINES = 500


class Tail:
    """Follows the last lines of `path`; `first` is the number of the oldest one kept. For one thread at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lines: deque[str] = deque(maxlen=LINES)
        self._forget()

    def _forget(self) -> None:
        self.lines.clear()
        self._count = 0
        self._offset: int | None = None
        self._rest = b""

    @property
    def first(self) -> int:
        """How many lines came before the oldest one that is kept."""
        return self._count - len(self.lines)

    def read(self) -> bool:
        """Take in what is new; return whether there was any."""
        try:
            with self.path.open("rb", buffering=0) as stream:
                data = self._new(stream.fileno())
        except OSError:
            return False
        if not data:
            return False
        *whole, self._rest = (self._rest + data)[-_FIRST - _MOST_REST :].split(b"\n")
        for line in whole:
            self.lines.append(_shown(line))
        self._count += len(whole)
        self._rest = self._rest[-_MOST_REST:]
        return True

    @property
    def unfinished(self) -> str:
        """The line that has no end yet, such as a bar that is being redrawn."""
        return _shown(self._rest)

    def _new(self, fd: int) -> bytes:
        size = os.fstat(fd).st_size
        if self._offset is not None and size < self._offset:
            self._forget()
        begin = self._offset is None
        start = max(0, size - _FIRST) if self._offset is None else max(self._offset, size - _FIRST)
        data = os.pread(fd, size - start, start)
        self._offset = start + len(data)
        # A read that begins inside the file begins inside a line.
        return data.partition(b"\n")[2] if begin and start else data


def _shown(line: bytes) -> str:
    # What a carriage return sends back to is written over, as on a terminal.
    last = next((part for part in reversed(line.split(b"\r")) if part.strip()), b"")
    return clean(last.decode(errors="replace")).replace("\n", " ").expandtabs(4).rstrip()
