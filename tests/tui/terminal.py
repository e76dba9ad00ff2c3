"""A pseudo terminal with a program on it: what it wrote, what the screen shows, and every way to take it away."""

from __future__ import annotations

import contextlib
import copy
import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyte

# pyte does not know these forms: it would print their ends, and take the shape of the pointer (OSC 22) for a title.
_PRIVATE = re.compile(rb"\x1b\[(?:[<>=?][0-9;]*u|\?[0-9;]*\$p)|\x1b\]22;[a-z-]*\x07")
_UNFINISHED = re.compile(rb"\x1b(?:\[[<>=?]?[0-9;]*\$?|\]2?2?;?[a-z-]*)?\Z")
_DEFAULTS = (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGQUIT, signal.SIGPIPE, signal.SIGCHLD)


class _Screen(pyte.Screen):
    """A screen with an alternate one, which pyte has not."""

    _kept: tuple[dict[int, Any], Any] | None = None

    def set_mode(self, *modes: int, **how: Any) -> None:
        """Turn modes on."""
        if 1049 in modes and how.get("private") and self._kept is None:
            self._kept = (copy.deepcopy(dict(self.buffer)), copy.copy(self.cursor))
            self.erase_in_display(2)
        super().set_mode(*modes, **how)

    def reset_mode(self, *modes: int, **how: Any) -> None:
        """Turn modes off."""
        super().reset_mode(*modes, **how)
        if 1049 in modes and how.get("private") and self._kept is not None:
            kept, cursor = self._kept
            self.buffer.clear()
            self.buffer.update(kept)
            self.cursor, self._kept = cursor, None
            self.dirty.update(range(self.lines))


class Terminal:
    """A program in a session of its own on a pseudo terminal; use it as a context, so that nothing stays behind."""

    def __init__(
        self, argv: Sequence[str], *, cwd: Path, columns: int = 100, lines: int = 30, env: dict[str, str] | None = None
    ) -> None:
        environment = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8", **(env or {})}
        for name in ("COLUMNS", "LINES", "SSH_CONNECTION", "SSH_TTY", "COLORTERM"):
            environment.pop(name, None)
        self.output = bytearray()
        self.closed = False
        self._master = -1
        self._woken, self._wakes = os.pipe()
        self._news = threading.Condition()
        self._screen = _Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._fed = 0
        self.status: int | None = None
        slave = self._open(columns, lines)
        self.before = termios.tcgetattr(self._master)
        self.pid = self._fork(argv, cwd, environment, slave)
        os.close(slave)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _open(self, columns: int, lines: int) -> int:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        return slave

    def _fork(self, argv: Sequence[str], cwd: Path, environment: dict[str, str], slave: int) -> int:
        pid = os.fork()
        if pid:
            return pid
        # Whoever started the tests may ignore signals; that would be inherited.
        for number in _DEFAULTS:
            signal.signal(number, signal.SIG_DFL)
        try:
            os.chdir(cwd)
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
            for fd in (0, 1, 2):
                os.dup2(slave, fd)
            os.closerange(3, 256)
            os.execvpe(argv[0], list(argv), environment)
        finally:
            os._exit(127)

    def _read(self) -> None:
        data = b"."
        while data:
            ready, _, _ = select.select([self._master, self._woken], [], [])
            if self._woken in ready:
                return
            try:
                data = os.read(self._master, 65536)
            except OSError:
                data = b""
            with self._news:
                self.output += data
                self.closed = not data
                self._news.notify_all()

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exc: object) -> None:
        self.hang_up()
        if self.status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def send(self, keys: str) -> None:
        """Type `keys`."""
        os.write(self._master, keys.encode())

    def settings(self) -> list[Any]:
        """Return the terminal's settings."""
        return termios.tcgetattr(self._master)

    def screen(self) -> str:
        """Return what the terminal shows now."""
        with self._news:
            data = bytes(self.output[self._fed :])
            self._fed = len(self.output) - len(m[0]) if (m := _UNFINISHED.search(data)) else len(self.output)
        self._stream.feed(_PRIVATE.sub(b"", _UNFINISHED.sub(b"", data)))
        return "\n".join(line.rstrip() for line in self._screen.display)

    def until(self, what: str | Callable[[str], bool], seconds: float = 60.0) -> str:
        """Wait until the screen shows a text, or is otherwise as asked, and return it."""
        end = time.monotonic() + seconds
        while True:
            shown = self.screen()
            if what in shown if isinstance(what, str) else what(shown):
                return shown
            assert not self.closed, f"the terminal closed without {what!r}:\n{shown}"
            left = end - time.monotonic()
            assert left > 0, f"never came: {what!r}\n{shown}"
            with self._news:
                self._news.wait(min(left, 0.2))

    def cursor_line(self) -> str:
        """Return the line in which the cursor stands: where keys go."""
        self.screen()
        return str(self._screen.display[min(self._screen.cursor.y, self._screen.lines - 1)])

    @property
    def title(self) -> str:
        """What a program has called the window."""
        return str(self._screen.title)

    def hang_up(self) -> None:
        """Close the other end of the terminal, as a dropped connection does."""
        if self._master >= 0:
            # A thread that still waits for output would keep it open.
            os.write(self._wakes, b".")
            self._reader.join()
            for fd in (self._master, self._woken, self._wakes):
                os.close(fd)
            self._master = -1

    def wait(self, seconds: float = 60.0) -> int:
        """Wait for the program's end; return its exit code, negative for a signal."""
        end = time.monotonic() + seconds
        while self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
                break
            assert time.monotonic() < end, f"it did not end:\n{self.screen()}"
            time.sleep(0.01)
        return self.status


def python(*arguments: str) -> list[str]:
    """Return the command line of a Python program."""
    return [sys.executable, *arguments]
