"""Steps back and forth: whole states, for a recipe is small and nothing then can go wrong with putting one back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tuitune.tui.base import Base

_STEPS = 500
_CHARACTERS = 1 << 25
_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Step:
    """A state of a draft; `key` is the key whose change led here."""

    text: str
    base: Base
    key: str | None = None


class Steps:
    """Where a draft stands, where it was, and what was taken back."""

    def __init__(self, now: Step, clock: Callable[[], float]) -> None:
        self.now = now
        self._clock = clock
        self._past: list[Step] = []
        self._future: list[Step] = []
        self._merged_at: float | None = None

    def add(self, step: Step, *, merge: bool = False) -> None:
        """Go on to a step; with `merge`, one that follows another such without a pause is part of that."""
        at = self._clock()
        if not (merge and self._merged_at is not None and at - self._merged_at < _PAUSE_SECONDS):
            # Before anything was opened there is nothing to go back to.
            if self.now.text or self._past:
                self._past.append(self.now)
            self._trim()
        self._merged_at = at if merge else None
        self._future.clear()
        self.now = step

    def back(self) -> Step | None:
        """Take the last step back and return it; None when there is none."""
        if not self._past:
            return None
        undone = self.now
        self._future.append(undone)
        self.now = self._past.pop()
        self.pause()
        return undone

    def forth(self) -> Step | None:
        """Make a step that was taken back again and return it; None when there is none."""
        if not self._future:
            return None
        self._past.append(self.now)
        self.now = self._future.pop()
        self.pause()
        return self.now

    def bases(self) -> set[Base]:
        """Return all that was begun from, as far as one can go back and forth."""
        return {step.base for step in (*self._past, self.now, *self._future)}

    def pause(self) -> None:
        """Let nothing be merged with what was so far."""
        self._merged_at = None

    def _trim(self) -> None:
        del self._past[:-_STEPS]
        while sum(len(step.text) for step in self._past) > _CHARACTERS:
            del self._past[0]
