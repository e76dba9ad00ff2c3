"""The journal of a run: appended by one engine, read by any number of faces while it grows."""

from __future__ import annotations

import math
import os
import threading
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType

from tuitune.run.events import EvalLogged, Event, RunStarted, StepLogged, decode, encode
from tuitune.run.files import PRIVATE_FILE, write_all

_HEAD = 256
_BACKLOG = 20_000

Point = tuple[float, float]


class Journal:
    """Append events to `path`, whole lines only, from any thread.

    A full disk does not end a training: lines that cannot be written wait, and go first when writing works again.
    `error` tells what stands in the way, `waiting` how many lines do; `lost` counts those that waited too long.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.error: OSError | None = None
        self.lost = 0
        self._lock = threading.Lock()
        self._waiting: deque[bytes] = deque(maxlen=_BACKLOG)
        self._fd: int | None = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
        size = os.fstat(self._fd).st_size
        self._torn = size > 0 and os.pread(self._fd, 1, size - 1) != b"\n"

    @property
    def waiting(self) -> int:
        """Return how many events are not on disk yet."""
        return len(self._waiting)

    def append(self, event: Event) -> None:
        """Write `event`; raises ValueError after `close`."""
        line = encode(event)
        with self._lock:
            if self._fd is None:
                raise ValueError("the journal is closed")
            self.lost += len(self._waiting) == _BACKLOG
            self._waiting.append(line)
            self._write(self._fd)

    def close(self) -> int:
        """Close the file and return how many events never reached it."""
        with self._lock:
            if self._fd is not None:
                self._write(self._fd)
                os.close(self._fd)
                self._fd = None
            return self.lost + len(self._waiting)

    def _write(self, fd: int) -> None:
        while self._waiting:
            # A line cut off by a crash or a full disk is ended first: it then costs only itself, not its neighbour.
            try:
                write_all(fd, (b"\n" if self._torn else b"") + self._waiting[0])
            except OSError as error:
                size = os.fstat(fd).st_size
                self._torn = size > 0 and os.pread(fd, 1, size - 1) != b"\n"
                self.error = error
                return
            self._torn = False
            self._waiting.popleft()
        self.error = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class JournalReader:
    """Follow a journal; a line without its end is left for the next time.

    `restarts` grows when the file was replaced or cut: what was read before then no longer counts.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.restarts = 0
        self.unread = 0
        self._offset = 0
        self._inode: int | None = None
        self._head = b""

    def read(self) -> list[Event]:
        """Return the events since the last call; `unread` counts the lines that hold none."""
        found = [decode(line) for line in self.read_lines().split(b"\n") if line]
        events = [event for event in found if event is not None]
        self.unread += len(found) - len(events)
        return events

    def read_lines(self) -> bytes:
        """Return the whole lines since the last call as they are."""
        try:
            with self.path.open("rb", buffering=0) as stream:
                fd = stream.fileno()
                self._check_same(fd)
                data = _read_from(fd, self._offset)
        except FileNotFoundError:
            return b""
        end = data.rfind(b"\n") + 1
        self._offset += end
        return data if end == len(data) else data[:end]

    def _check_same(self, fd: int) -> None:
        # A new file may get the old one's inode, and one that was cut may have grown past the offset: the head tells.
        status = os.fstat(fd)
        head = os.pread(fd, _HEAD, 0)
        other = self._inode not in (None, status.st_ino) or status.st_size < self._offset
        if other or not head.startswith(self._head[: self._offset]):
            self._offset = 0
            self.restarts += 1
        self._inode, self._head = status.st_ino, head


def _read_from(fd: int, offset: int) -> bytes:
    pieces = []
    # One piece as a rule; the file may grow, or be cut, meanwhile.
    room = max(1 << 16, os.fstat(fd).st_size - offset + 1)
    while piece := os.pread(fd, room, offset):
        pieces.append(piece)
        offset += len(piece)
    return b"".join(pieces)


def supersede(events: Iterable[Event]) -> list[Event]:
    """Return the events that still count: an attempt that starts from step s takes back the later steps before it."""
    kept: list[Event] = []
    for event in events:
        if isinstance(event, RunStarted):
            kept = [old for old in kept if not (isinstance(old, StepLogged | EvalLogged) and old.step > event.step)]
        kept.append(event)
    return kept


def thin(points: Sequence[Point], most: int) -> list[Point]:
    """Return at most `most` (>= 2) of `points` for drawing: both ends, and each bucket's least, greatest and first gap.

    A gap is a point whose value is NaN or infinite.
    """
    if most < 2:
        raise ValueError("a curve needs at least two points")
    if len(points) <= most:
        return list(points)
    has_gaps = any(not math.isfinite(value) for _, value in points)
    buckets = (most - 2) // (3 if has_gaps else 2)
    chosen = {0, len(points) - 1}
    inner = len(points) - 2
    for bucket in range(buckets):
        chosen |= _marks(points, 1 + bucket * inner // buckets, 1 + (bucket + 1) * inner // buckets)
    return [points[index] for index in sorted(chosen)]


def _marks(points: Sequence[Point], start: int, stop: int) -> set[int]:
    solid = [index for index in range(start, stop) if math.isfinite(points[index][1])]
    gaps = [index for index in range(start, stop) if not math.isfinite(points[index][1])]
    marks = set(gaps[:1])
    if solid:
        marks |= {min(solid, key=lambda index: points[index][1]), max(solid, key=lambda index: points[index][1])}
    return marks
