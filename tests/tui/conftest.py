"""What holds for all tests of the screen: a pause ends when the app has nothing left to do, however slow the machine.

Textual's own wait takes a process that used no time of the processor for a moment for an idle one. On a machine under
load it had none to use.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tuitune.tui import kept

_FRAME, _IDLE, _LONGEST = 1 / 50, 0.001, 15.0


async def at_rest(min_sleep: float = 0.0, max_sleep: float = 1.0) -> None:
    """Wait until nothing is due in the app and its process is idle; for other threads no longer than `max_sleep`."""
    begun = time.monotonic()
    while True:
        process, thread = time.process_time(), time.thread_time()
        await asyncio.sleep(_FRAME)  # the timers that are due with it come first: the screen draws
        await _nothing_due()
        alone, all_ = time.thread_time() - thread < _IDLE, time.process_time() - process < _IDLE
        lasted = time.monotonic() - begun
        if all_ or (alone and lasted >= max_sleep) or lasted >= _LONGEST:
            return


async def _nothing_due() -> None:
    """Let everything be done that the loop could do at once, and what follows from it."""
    loop: Any = asyncio.get_running_loop()
    for _ in range(10_000):
        if not loop._ready:
            return
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def pauses_until_at_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let `pilot.pause()` and `pilot.press()` wait for the app itself."""
    for room in ("pilot", "app"):
        monkeypatch.setattr(f"textual.{room}.wait_for_idle", at_rest)


@pytest.fixture(autouse=True)
def no_draft_is_written_later() -> Iterator[None]:
    """Write what drafts still have to write: their timers would do it in the home of another test."""
    yield
    kept.flush_all()
