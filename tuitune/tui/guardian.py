"""A small parent process that gives the terminal back, however the app in its child ends.

It is forked before anything heavy is imported and imports only the standard library. Both processes stay in one process
group, so that the child is in the foreground and the shell waits for the parent alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import sys
import termios
from collections.abc import Iterable, Sequence
from typing import Any

from tuitune.text import clean_line

# What a screen may have left on, the keyboard protocol before the alternate screen: each screen has its own. CAN and ST
# come first and end a sequence in the middle of which the writer died.
RESTORE = "\x18\x1b\\\x1b[?2026l" + "".join(
    f"\x1b[?{mode}l" for mode in (1000, 1002, 1003, 1015, 1006, 1016, 2004, 2048, 1004)
) + "\x1b[<u\x1b[?7h\x1b[?1049l\x1b[?25h\x1b[0m"  # fmt: skip
_WARD = "TUITUNE_WARD"
_FORWARDED = (signal.SIGTERM, signal.SIGHUP)
_BLOCKED = (*_FORWARDED, signal.SIGINT, signal.SIGCHLD)
_LONGEST = 300  # characters of a line, lines of a message: one write to a pipe must not be torn


class Ward:
    """The child's end of the pipe to its guardian; without a guardian nothing is said."""

    def __init__(self, fd: int | None) -> None:
        self.fd = fd

    def screen(self, *, taken: bool) -> None:
        """Say whether the app draws on the terminal now."""
        self._send({"screen": taken})

    def tell(self, *lines: str) -> None:
        """Leave the lines that are to be said should this process die."""
        self._send({"last": _short(lines)})

    def leave(self, *lines: str) -> None:
        """Let the guardian say `lines` and end, so that the shell takes the terminal back; this process goes on."""
        self._send({"leave": _short(lines)})
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None

    def hand_over(self) -> dict[str, str]:
        """Return the environment in which a program that takes this process's place has the same guardian."""
        if self.fd is None:
            return {}
        os.set_inheritable(self.fd, True)
        return {_WARD: str(self.fd)}

    def _send(self, message: dict[str, object]) -> None:
        # A guardian that was killed is no reason to end.
        if self.fd is not None:
            with contextlib.suppress(OSError):
                os.write(self.fd, json.dumps(message).encode() + b"\n")


def stand_guard() -> Ward:
    """Fork: the child returns with its ward, the parent never does and ends with the child's exit code.

    Without a terminal, or when no process can be had, this process goes on without a guardian.
    """
    if (ward := _handed_over()) is not None:
        return ward
    try:
        saved = termios.tcgetattr(0)
        heard, said = os.pipe()
    except (termios.error, OSError):
        return Ward(None)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
    try:
        pid = os.fork()
    except OSError:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(heard)
        os.close(said)
        return Ward(None)
    if pid == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(heard)
        return Ward(said)
    os.close(said)
    code = 1
    try:
        code = _Guardian(pid, heard, saved).watch(before)
    finally:
        os._exit(code)


def _handed_over() -> Ward | None:
    text = os.environ.pop(_WARD, "")
    try:
        fd = int(text)
        os.set_inheritable(fd, False)
    except (ValueError, OSError):
        return None
    return Ward(fd)


def _short(lines: Sequence[str]) -> list[str]:
    return [line[:_LONGEST] for line in lines[:6]]


class _Guardian:
    """The parent's side."""

    def __init__(self, pid: int, heard: int, saved: list[Any]) -> None:
        self._pid, self._heard, self._saved = pid, heard, saved
        self._open, self._rest = True, b""
        self._taken = False
        self._last: list[str] = []
        self._leave: list[str] | None = None

    def watch(self, mask: Iterable[int]) -> int:
        """Wait for the child to leave or to end; return the exit code."""
        os.set_blocking(self._heard, False)
        woken = self._listen()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        while True:
            ended, status = os.waitpid(self._pid, os.WNOHANG)
            self._hear()
            if self._leave is not None:
                return self._left(self._leave)
            if ended:
                return self._over(os.waitstatus_to_exitcode(status))
            select.select([woken, *([self._heard] if self._open else [])], [], [])
            with contextlib.suppress(BlockingIOError):
                os.read(woken, 512)

    def _listen(self) -> int:
        """Hear signals through a pipe: a child's death must wake the guardian even while others hold its pipe open."""
        woken, wakes = os.pipe()
        os.set_blocking(woken, False)
        os.set_blocking(wakes, False)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        for number in _FORWARDED:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, lambda number, frame: self._forward(number))
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        # Keys that the terminal makes signals of reach the child as well. A terminal is restored also from behind.
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGTTOU):
            signal.signal(number, signal.SIG_IGN)
        return woken

    def _forward(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, number)

    def _hear(self) -> None:
        while self._open:
            try:
                data = os.read(self._heard, 65536)
            except BlockingIOError:
                return
            self._open = bool(data)
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self._take(json.loads(line))

    def _take(self, message: dict[str, Any]) -> None:
        self._taken = message.get("screen", self._taken)
        self._last = message.get("last", self._last)
        self._leave = message.get("leave", self._leave)

    def _left(self, lines: list[str]) -> int:
        self._restore()
        self._say(lines)
        return 0

    def _over(self, code: int) -> int:
        died = code < 0
        taken = self._taken
        if died or taken:
            self._restore()
            self._say([_how(code), *self._last])
        return 128 - code if died else code

    def _restore(self) -> None:
        """Give the terminal its settings back, and undo what a screen that was not shut has left on."""
        with contextlib.suppress(termios.error, OSError):
            if termios.tcgetattr(0) != self._saved:
                # Replies and mouse reports that nobody reads any more would become commands of the shell.
                termios.tcflush(0, termios.TCIFLUSH)
                termios.tcsetattr(0, termios.TCSANOW, self._saved)
        if self._taken:
            self._write(RESTORE)
            self._taken = False

    def _say(self, lines: list[str]) -> None:
        self._write("".join(f"{clean_line(line)}\n" for line in lines))

    @staticmethod
    def _write(text: str) -> None:
        with contextlib.suppress(OSError):
            os.write(1, text.encode("utf-8", "replace"))


def _how(code: int) -> str:
    if code >= 0:
        return f"tuitune ended in the middle of its work, with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    # The kernel kills so when memory is short, and leaves no other word.
    why = ": by somebody, or by the system because memory ran out" if -code == signal.SIGKILL else ""
    return f"tuitune was killed ({name}){why}"
