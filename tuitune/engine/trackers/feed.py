"""What of a journal a tracker is told: each figure once, and how the attempt ended."""

from __future__ import annotations

from pathlib import Path

from tuitune.engine.trackers.base import Outcome
from tuitune.run.events import EvalLogged, Event, RunFailed, RunFinished, RunStarted, StepLogged
from tuitune.run.journal import JournalReader, supersede

Logged = StepLogged | EvalLogged


class Feed:
    """Follows a journal for one attempt; `end` is how it ended, with a message, once it has."""

    def __init__(self, path: Path, attempt: int) -> None:
        self._reader, self._attempt = JournalReader(path), attempt
        self._waiting: list[Event] | None = []
        self._current = False
        self.end: tuple[Outcome, str] | None = None
        self.step = 0

    def begun(self) -> bool:
        """Tell whether the attempt stands in the journal; `step` is then what was done before it."""
        if self._waiting is None:
            return True
        self._waiting += self._reader.read()
        found = [each for each in self._waiting if isinstance(each, RunStarted) and each.attempt >= self._attempt]
        if found:
            self.step = found[0].step
        return bool(found)

    def read(self) -> list[Logged]:
        """Return what was logged since the last call; the first time, all that still counts of earlier attempts too."""
        new, self._waiting = [*(self._waiting or ()), *self._reader.read()], None
        until = len(new)
        for place, event in enumerate(new):
            match event:
                case RunStarted(attempt=attempt):
                    self._current = attempt == self._attempt
                    if attempt > self._attempt:
                        self.end = self.end or ("crashed", "a later attempt has begun")
                        until = min(until, place)
                case RunFinished() | RunFailed() if self._current:
                    self.end = self.end or _ending(event)
        return [event for event in supersede(new[:until]) if isinstance(event, StepLogged | EvalLogged)]


def _ending(event: RunFinished | RunFailed) -> tuple[Outcome, str]:
    if isinstance(event, RunFailed):
        return "failed", event.message
    return ("finished" if event.reason == "finished" else "stopped"), ""
