"""What a face knows of a run: the events so far, folded into one record."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

from tuitune.run import State, events
from tuitune.run.attempts import Attempts

_KEPT = 0.9  # of the former pace after one step
_AT_WORK = ("train", "evaluate", "rollout")  # rollout: the model answers, to learn from that


@dataclass
class Picture:
    """The present of one attempt; times are unix seconds, `pace` is seconds per step."""

    name: str
    stage: str = ""
    attempt: int = 0
    start_step: int = 0
    started: float = field(default_factory=time.time)
    phase: str = ""
    detail: str = ""
    done: int = 0
    todo: int | None = None
    training_since: float | None = None
    step: int = 0
    total: int | None = None
    logged: events.StepLogged | None = None
    pace: float | None = None
    evaluated: events.EvalLogged | None = None
    saved: events.CheckpointSaved | None = None
    paused: bool = False
    end: events.RunFinished | events.RunFailed | None = None
    attempts: Attempts = field(default_factory=Attempts)

    def take_all(self, found: Iterable[events.Event]) -> None:
        """Take in several events."""
        for event in found:
            self.take(event)

    def take(self, event: events.Event) -> None:
        """Take in an event."""
        self.attempts.take(event)
        match event:
            case events.RunStarted():
                self._begin(event)
            case events.PhaseStarted(phase=phase, detail=detail):
                self.phase, self.detail, self.done, self.todo = phase, detail, 0, None
                if phase == "train":
                    self.training_since = event.t
            case events.Progress(phase=phase, done=done, total=total):
                self.phase, self.done, self.todo = phase, done, total
            case events.StepLogged():
                self._log(event)
                # Steps follow an evaluation without a phase of their own.
                self.phase = "train"
            case events.EvalLogged():
                self.evaluated, self.phase = event, "train"
            case events.CheckpointSaved():
                self.saved = event
            case events.Paused() | events.Resumed():
                self.paused = isinstance(event, events.Paused)
            case events.RunFinished() | events.RunFailed():
                self.end = event

    def look(self, state: State | None) -> None:
        """Take in the sign of life, which knows steps that are not logged."""
        if state is not None and state.attempt >= self.attempt:
            self.step = max(self.step, state.step)
            self.total = state.total_steps or self.total

    def _log(self, event: events.StepLogged) -> None:
        before = self.logged.step if self.logged is not None else event.step - 1
        # Steps are as long as their rows: a mean that forgets slowly keeps the time that is left from jumping.
        kept = 0.0 if self.pace is None else _KEPT ** max(1, event.step - before)
        self.pace = event.step_seconds if self.pace is None else kept * self.pace + (1 - kept) * event.step_seconds
        self.logged, self.step = event, max(self.step, event.step)

    def _begin(self, event: events.RunStarted) -> None:
        self.stage, self.attempt = event.stage, event.attempt
        self.start_step, self.started = event.step, event.t
        self.step, self.total = event.step, event.total_steps or self.total
        self.training_since = self.end = self.logged = self.pace = None
        self.paused = False

    @property
    def training(self) -> bool:
        """Whether optimizer steps are being made, rather than prepared."""
        return self.training_since is not None and self.phase in _AT_WORK

    def elapsed(self, now: float | None = None) -> float:
        """Return the seconds since the attempt began."""
        last = self.end.t if self.end is not None else time.time() if now is None else now
        return max(0.0, last - self.started)

    def left(self, now: float | None = None) -> float | None:
        """Return the seconds that the remaining steps take at the present speed, None when nobody can know."""
        if self.total is None:
            return None
        seconds = self.pace if self.pace is not None else self._mean(now)
        return None if seconds is None or seconds <= 0 else seconds * max(0, self.total - self.step)

    def _mean(self, now: float | None) -> float | None:
        # Before the first log line, which may be hundreds of steps away, the steps themselves are counted.
        steps = self.step - self.start_step
        if self.training_since is None or steps <= 0:
            return None
        return ((time.time() if now is None else now) - self.training_since) / steps
