"""Signals while the app has the terminal: they reach its loop, also one that is just ending, and none is lost."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from textual.app import App

_HEARD = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
_ENOUGH = 3  # whoever asks that often does not get through to the loop


@dataclass
class _Ear:
    loop: asyncio.AbstractEventLoop
    context: contextvars.Context
    on_hangup: Callable[[], None]
    on_terminate: Callable[[], None]


class Relay:
    """Handlers that stay from before the app until after it; asyncio's own would be gone while the loop closes.

    Until the app listens a signal does what it always does. After it the signals wait in `arrived`.
    """

    current: ClassVar[Relay | None] = None

    def __init__(self) -> None:
        self._ear: _Ear | None = None
        self._done: set[int] = set()
        self._asked = 0
        self._listened = False
        self.arrived: deque[int] = deque()

    def __enter__(self) -> Relay:
        Relay.current = self
        for number in _HEARD:
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, self._arrived)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        Relay.current = None
        for number in _HEARD:
            if signal.getsignal(number) == self._arrived:
                signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)

    def attach(self, ear: _Ear) -> None:
        """Let signals through to the app; a terminal that is lost is heard even where hangups were ignored."""
        self._ear, self._listened = ear, True
        signal.signal(signal.SIGHUP, self._arrived)

    def detach(self) -> None:
        """The app has ended."""
        self._ear = None

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        if not self._listened:
            self._as_always(number)
            return
        self._asked += number != signal.SIGHUP
        if self._ear is None:
            self.arrived.append(number)
        elif self._asked >= _ENOUGH:
            self._as_always(signal.SIGTERM)
        elif number not in self._done:
            # The kernel, the shell and the guardian may all tell of the same hangup.
            self._done.add(number)
            wish = self._ear.on_hangup if number == signal.SIGHUP else self._ear.on_terminate
            # It wakes the loop through a pipe and takes no lock, so a handler may call it; asyncio.Runner does.
            self._ear.loop.call_soon_threadsafe(wish, context=self._ear.context)

    @staticmethod
    def _as_always(number: int) -> None:
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)


def install_signals(app: App[Any], on_hangup: Callable[[], None], on_terminate: Callable[[], None]) -> None:
    """Call these in the app's loop when the terminal is lost, and when somebody asks for the end; each at most once.

    To be called while the loop runs, such as in `on_mount`.
    """
    loop = asyncio.get_running_loop()
    if Relay.current is not None:
        Relay.current.attach(_Ear(loop, contextvars.copy_context(), on_hangup, on_terminate))
    elif not app.is_headless:
        loop.add_signal_handler(signal.SIGHUP, on_hangup)
        loop.add_signal_handler(signal.SIGTERM, on_terminate)
