"""How far the work is, told to whoever asked for it, and in the folder to others who look there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from tuitune.evaluate.scores import Progress
from tuitune.run import reached
from tuitune.run.reached import Reached

_EVERY = 1.0  # seconds between two lines in the folder about one stage


class Telling:
    """Passes on what is told; from `into` on the folder has it too, until `end`."""

    def __init__(self, progress: Progress, within: Callable[[str], None]) -> None:
        self._progress, self._within = progress, within
        self._folder: Path | None = None
        self._clock: Callable[[], float] = lambda: 0.0
        self._at = Reached("")
        self._told = 0.0

    def into(self, folder: Path, clock: Callable[[], float]) -> None:
        """Tell in this folder as well, with the seconds that have been worked."""
        self._folder, self._clock = folder, clock
        self._keep(at_once=True)

    def end(self) -> None:
        """Tell nothing in the folder from here on."""
        if self._folder is not None:
            reached.ended(self._folder)
            self._folder = None

    def progress(self, stage: str, done: int, total: int | None) -> None:
        """Say how far a stage is."""
        self._progress(stage, done, total)
        fresh = stage != self._at.stage
        self._at = Reached(stage, done, total, "" if fresh or done == total else self._at.within)
        self._keep(at_once=fresh)

    def within(self, text: str) -> None:
        """Say how far the piece of work is that is not done yet."""
        self._within(text)
        self._at = Reached(self._at.stage, self._at.done, self._at.total, text)
        self._keep()

    def _keep(self, *, at_once: bool = False) -> None:
        now = time.monotonic()
        if self._folder is not None and self._at.stage and (at_once or now - self._told >= _EVERY):
            self._told = now
            reached.tell(self._folder, replace(self._at, seconds=self._clock()))
