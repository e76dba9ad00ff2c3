"""Textual's driver for Linux, made to survive the loss of its terminal.

Textual 8.2.8 alone does not: after the other end of a pseudo terminal has closed, its input thread reads nothing at
full speed, its output thread dies of the first EIO, and the loop then blocks for ever on the full queue before it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from textual.drivers.linux_driver import LinuxDriver

if TYPE_CHECKING:
    from textual.app import App


class TerminalDriver(LinuxDriver):
    """Draws on the real standard output, and makes a hangup of every way in which a terminal can go."""

    guardian: ClassVar[int | None] = None  # the pipe to it: without a guardian the shell has taken the terminal back

    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        stream = sys.__stdout__
        assert stream is not None
        # Standard error, which Textual takes, may lead to a file.
        self._file = _Output(stream.fileno())  # type: ignore[assignment]
        self._watch: _Watch | None = None

    def start_application_mode(self) -> None:
        """Take the terminal, and watch it."""
        super().start_application_mode()  # type: ignore[no-untyped-call]
        # Whoever waits at a shell that took the terminal back must not find this process stopped instead of training.
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        if self._watch is None:
            self._watch = _Watch([fd for fd in (self.fileno, self.guardian) if fd is not None], self._lost)

    def close(self) -> None:
        """Stop writing and watching; nothing of the driver holds the terminal after that."""
        super().close()
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def disable_input(self) -> None:
        """Read no more keys. What turned off the reading already must not leave the mouse on."""
        if self.exit_event.is_set():
            self._disable_mouse_support()
        super().disable_input()

    def run_input_thread(self) -> None:
        """Read keys until the end; a terminal that cannot be read is a lost one."""
        try:
            super().run_input_thread()
        except OSError:
            self._lost()

    def _lost(self) -> None:
        self.exit_event.set()
        os.kill(os.getpid(), signal.SIGHUP)


class _Output:
    """A terminal as a file; what cannot be written is dropped, so that nothing ever waits for a lost one."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._gone = False

    def write(self, text: str) -> None:
        """Write all of `text`."""
        data = text.encode("utf-8", "replace")
        while data and not self._gone:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                # Somebody with the same terminal has set it so; it is theirs as much as ours.
                select.select([], [self._fd], [], 1.0)
            except OSError:
                self._gone = True

    def flush(self) -> None:
        """Nothing is held back."""

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._fd


class _Watch:
    """A thread that waits until one of some descriptors has lost its other end."""

    def __init__(self, fds: list[int], gone: Callable[[], None]) -> None:
        self._woken, self._wakes = os.pipe()
        self._fds, self._gone = fds, gone
        self._thread = threading.Thread(target=self._wait, name="terminal-watch", daemon=True)
        self._thread.start()

    def _wait(self) -> None:
        poll = select.poll()
        for fd in self._fds:
            poll.register(fd, 0)  # a hangup is told always, and nothing else is asked for
        poll.register(self._woken, select.POLLIN)
        found = [fd for fd, _ in poll.poll()]
        if self._woken not in found:
            self._gone()

    def stop(self) -> None:
        """End the thread: while it waits, the terminal stays open for the system."""
        with contextlib.suppress(OSError):
            os.write(self._wakes, b".")
        self._thread.join(1.0)
        os.close(self._woken)
        os.close(self._wakes)


def terminal_driver(guardian: int | None) -> type[TerminalDriver]:
    """Return the driver of an app with this guardian."""
    return type("GuardedDriver", (TerminalDriver,), {"guardian": guardian})
