"""How long a run took: each of its attempts from its start to its last sign of life, not the hours between them."""

from __future__ import annotations

from dataclasses import dataclass

from tuitune.run.events import Event, RunFailed, RunFinished, RunStarted
from tuitune.run.state import State


@dataclass
class Attempts:
    """Counts attempts and their own time while events are told in their order; times are unix seconds.

    number: the engine's own number of the last one. until: its last sign of life in the journal.
    """

    count: int = 0
    number: int = 0
    until: float = 0.0
    ended: bool = False
    _before: float = 0.0  # the seconds of the attempts before the last
    _began: float = 0.0

    @property
    def seconds(self) -> float:
        """The time of all attempts, as far as the journal tells."""
        return self._before + self.until - self._began

    def take(self, event: Event) -> None:
        """Take in an event."""
        if isinstance(event, RunStarted):
            self._before, self._began = self.seconds, event.t
            self.count, self.number, self.ended, self.until = self.count + 1, event.attempt, False, event.t
        elif isinstance(event, RunFinished | RunFailed) and event.attempt not in (0, self.number):
            self.ended = True  # of an attempt that never began: the one before it had crashed
        else:
            self.alive(event.t)
            self.ended = self.ended or isinstance(event, RunFinished | RunFailed)

    def alive(self, now: float) -> None:
        """Take in that the attempt lived at that time; what is said after its end is no sign of life."""
        if self.count and not self.ended:
            self.until = max(self.until, now)


def beyond(state: State | None, number: int, until: float, *, ended: bool) -> float:
    """Return the seconds for which an attempt lived on after its last word in the journal, as its heartbeat tells."""
    if state is None or ended or state.attempt != number:
        return 0.0
    return max(0.0, state.heartbeat - until)
