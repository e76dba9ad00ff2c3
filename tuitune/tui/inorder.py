"""Keys one after the other: what one key begins is there before the next one is looked at.

Textual gives a key to whatever has the focus when it arrives. What is typed ahead then overtakes the key that opens
a dialog, and letters meant for the dialog do something on the screen below.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque

from textual.app import App, ScreenError
from textual.dom import DOMNode
from textual.events import Event, Key, Paste
from textual.message_pump import MessagePump
from textual.screen import Screen

from tuitune.tui.leave import Leave

_LONGEST = 10.0  # seconds after which the next key is passed on all the same
_EVERY = 0.02  # seconds between two looks whether a screen still waits
_WAY_OUT = ("escape", "ctrl+q", "ctrl+c")  # what never waits for a list
_ROUNDS = 2  # a key's handler may tell its screen something, which then does the work


class InOrder(App[Leave]):
    """An app that holds keys and pasted text back while an earlier key is still at work."""

    def __init__(self) -> None:
        self._held: deque[Key | Paste] = deque()
        self._at_key = False  # one is being dealt with
        self._settling: asyncio.Task[None] | None = None
        super().__init__()

    async def on_event(self, event: Event) -> None:
        """Pass a key on where none is at work, else hold it back; the rest is passed on."""
        if not isinstance(event, Key | Paste) or event.is_forwarded:
            await super().on_event(event)
        elif self._at_key:
            self._held.append(event)
        else:
            await self._pass(event)

    async def _pass(self, event: Key | Paste) -> None:
        try:
            screen = self.screen
        except ScreenError:  # the app ends: nobody is there for keys
            return
        self._at_key, target = True, self.focused or screen
        try:
            await super().on_event(event)
        finally:
            self._settling = asyncio.create_task(self._settle(target, screen))

    async def _settle(self, target: DOMNode, screen: Screen[object]) -> None:
        """Wait until a key has been dealt with, then look at the next one, whatever became of the wait."""
        try:
            with contextlib.suppress(TimeoutError, ScreenError):
                await asyncio.wait_for(self._dealt_with(target, screen), _LONGEST)
            while self._waits() and not self._leaves():
                await asyncio.sleep(_EVERY)
        finally:
            self.call_later(self._next)

    def _leaves(self) -> bool:
        """Return whether a key was pressed that leaves; those before it were for what is left now."""
        out = next((n for n, each in enumerate(self._held) if isinstance(each, Key) and each.key in _WAY_OUT), None)
        for _ in range(out or 0):
            self._held.popleft()
        return out is not None

    async def _next(self) -> None:
        if self._held:
            await self._pass(self._held.popleft())
        else:
            self._at_key = False

    async def _dealt_with(self, target: DOMNode, screen: Screen[object]) -> None:
        for _ in range(_ROUNDS):
            for node in target.ancestors_with_self:
                await _came_to(node)
        while self.screen is not screen:  # another one was opened, or this one was left
            screen = self.screen
            await _came_to(screen)  # it is laid out, and has given the keys to a widget
            await _drawn(screen)  # what it does after its first picture is done
            await _came_to(self)

    def _waits(self) -> bool:
        """Return whether the screen has a key that acts later: those behind it are for what comes then."""
        with contextlib.suppress(ScreenError):
            return bool(getattr(self.screen, "waits", False))
        return False


async def _came_to(pump: MessagePump) -> None:
    """Wait until all that is on its way to a widget now has reached it."""
    reached = asyncio.Event()
    if pump.call_later(reached.set):
        await reached.wait()


async def _drawn(screen: Screen[object]) -> None:
    shown = asyncio.Event()
    if screen.call_after_refresh(shown.set):
        await shown.wait()
