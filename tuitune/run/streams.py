"""Keep what libraries print off the screen: file descriptors 1 and 2 lead to the run's log while the guard stands.

A library may hold an old `sys.stderr`, write to descriptor 2 from C, or start a process that inherits it; only moving
the descriptors themselves catches all of these.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from tuitune.errors import RunError
from tuitune.run.files import PRIVATE_FILE

_NAMES = ("stdout", "stderr", "__stdout__", "__stderr__")


@dataclass(frozen=True)
class Streams:
    """The real standard output and error, for whoever draws the screen."""

    out: TextIO
    err: TextIO

    def log_to(self, log: Path) -> None:
        """Lead what is printed to the end of another log from here on. Raises RunError when it cannot be written."""
        _flush(sys.stdout, sys.stderr)
        _lead_to(log)

    def let_go(self) -> None:
        """Point these streams, too, at the log: the terminal is gone or given back, and nothing returns to it."""
        for stream, target in ((self.out, 1), (self.err, 2)):
            with contextlib.suppress(OSError):
                stream.flush()
            os.dup2(target, stream.fileno())


@contextlib.contextmanager
def guard(log: Path) -> Iterator[Streams]:
    """Lead descriptors 1 and 2 and `print` to the end of `log`, and yield the real streams; all is restored at the end.

    `sys.__stdout__` and `sys.__stderr__` become the real streams, because Textual draws on the one and asks the other
    for the size of the terminal. Raises RunError when the log cannot be written.
    """
    before = {name: getattr(sys, name) for name in _NAMES}
    _flush(before["stdout"], before["stderr"])
    _fill_standard()
    real = Streams(_text(os.dup(1)), _text(os.dup(2)))
    try:
        _lead_to(log)
        # Not closed at the end: a log handler made meanwhile may hold them, and then follows the descriptors back.
        logged = (_text(1, close=False), _text(2, close=False))
        for name, stream in zip(_NAMES, (*logged, real.out, real.err), strict=True):
            setattr(sys, name, stream)
        try:
            yield real
        finally:
            # What was buffered under the guard belongs into the log, also what old stream objects hold.
            _flush(*logged, before["stdout"], before["stderr"], real.out, real.err)
            for name, stream in before.items():
                setattr(sys, name, stream)
    finally:
        os.dup2(real.out.fileno(), 1)
        os.dup2(real.err.fileno(), 2)
        for stream in (real.out, real.err):
            with contextlib.suppress(OSError):
                stream.close()


def _lead_to(log: Path) -> None:
    try:
        fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
    except OSError as error:
        raise RunError(f"{log} cannot be written: {error.strerror}", "look at the disk and its permissions") from error
    try:
        os.dup2(fd, 1)
        os.dup2(fd, 2)
    finally:
        os.close(fd)


def _fill_standard() -> None:
    # A process may be started with standard descriptors closed; the next file opened would then become one of them.
    while (fd := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(fd, True)
    os.close(fd)


def _text(fd: int, *, close: bool = True) -> TextIO:
    return os.fdopen(fd, "w", buffering=1, encoding="utf-8", errors="backslashreplace", closefd=close)


def _flush(*streams: TextIO | None) -> None:
    for stream in streams:
        if stream is not None:
            with contextlib.suppress(OSError, ValueError):
                stream.flush()
