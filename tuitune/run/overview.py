"""One line about a run, quickly: its state and both ends of its journal, never the whole of it."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Literal, TypeVar

from tuitune.run import manifest
from tuitune.run.attempts import Attempts, beyond
from tuitune.run.directory import RunDir
from tuitune.run.events import Event, RunFailed, RunFinished, RunStarted, StepLogged, decode
from tuitune.run.journal import supersede
from tuitune.run.state import State, Status, liveness

_HEAD_BYTES = 16 << 10
_TAIL_BYTES = 64 << 10
_MOST_TAIL_BYTES = 1 << 20

E = TypeVar("E", bound=Event)


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a list of runs shows; `started` and `active`, its last sign of life, are unix seconds.

    duration: the seconds of all its `attempts`, without what lies between them; both None where a long journal may hold
    attempts that were not read.
    """

    name: str
    path: Path
    model: str = ""
    stage: str = ""
    method: str = ""
    status: Status | Literal["created", "crashed"] = "created"
    step: int = 0
    total_steps: int | None = None
    loss: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    started: float | None = None
    duration: float | None = None
    attempts: int | None = None
    active: float = 0.0
    checkpoint: Path | None = None

    @property
    def resumable(self) -> bool:
        """Whether the run ended before its last step and has a checkpoint to go on from."""
        return self.checkpoint is not None and self.status in ("stopped", "failed", "crashed")


def summary(run: RunDir) -> RunSummary:
    """Describe a run; the checkpoint is looked at by names and sizes only, not by its content."""
    state = State.read(run.state)
    told = ends(run.events)
    events, attempts = supersede(told), _attempts(run.events, told, state)
    last_start, step = _last(events, RunStarted), _last(events, StepLogged)
    first = next((event for event in events if isinstance(event, RunStarted)), None)
    checkpoint, _ = manifest.newest_valid(run.path, deep=False)
    return RunSummary(
        name=run.name,
        path=run.path,
        model=last_start.model if last_start else "",
        stage=last_start.stage if last_start else "",
        method=last_start.method if last_start else "",
        status=_status(state, events),
        step=step_of(state, last_start.attempt if last_start else 0, step.step if step else 0),
        total_steps=state.total_steps if state else (last_start.total_steps if last_start else None),
        loss=step.loss if step else None,
        metrics=step.metrics if step else {},
        started=first.t if first else None,
        duration=_lasted(attempts, state) if attempts is not None else None,
        attempts=attempts.count if attempts is not None else None,
        active=max([event.t for event in told] + [state.heartbeat if state else 0.0]),
        checkpoint=checkpoint,
    )


def _attempts(path: Path, found: Sequence[Event], state: State | None) -> Attempts | None:
    """Return the attempts of a journal of which these are the ends; None where more may lie between them."""
    attempts = Attempts()
    for event in found:
        attempts.take(event)
    only = state is not None and state.attempt == attempts.count == 1
    return attempts if only or _size(path) <= _HEAD_BYTES + _TAIL_BYTES else None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _lasted(attempts: Attempts, state: State | None) -> float:
    return attempts.seconds + beyond(state, attempts.number, attempts.until, ended=attempts.ended)


def _status(state: State | None, events: Sequence[Event]) -> Status | Literal["created", "crashed"]:
    # A run copied without its state still has its journal.
    turning = [event for event in events if isinstance(event, RunStarted | RunFinished | RunFailed)]
    match turning[-1] if turning else None:
        case RunFinished(reason=reason):
            return status_of(state, "finished" if reason == "finished" else "stopped")
        case RunFailed():
            return status_of(state, "failed")
        case last:
            return status_of(state, "crashed" if last is not None else "created")


def status_of(
    state: State | None, told: Status | Literal["created", "crashed"]
) -> Status | Literal["created", "crashed"]:
    """Return how a run stands: by its state, where there is one, else as its journal ended."""
    if state is None:
        return told
    return "crashed" if liveness(state, time.time()) == "crashed" else state.status


def step_of(state: State | None, attempt: int, step: int) -> int:
    """Return how far a run is: by its state, unless that is of a later attempt which has not begun, else as told."""
    if state is None:
        return step
    return state.step or step if state.attempt > attempt else state.step


def ends(path: Path) -> list[Event]:
    """Return the events at both ends of a journal, the tail reaching back to a logged step if one is near."""
    try:
        with _open(path) as stream:
            size = stream.seek(0, os.SEEK_END)
            if size <= _HEAD_BYTES + _TAIL_BYTES:
                return _events(stream, 0, size)
            return _events(stream, 0, _HEAD_BYTES) + _tail(stream, size)
    except FileNotFoundError:
        return []


def _open(path: Path) -> BinaryIO:
    """Open a journal to read pieces of it."""
    return path.open("rb", buffering=0)


def _tail(stream: BinaryIO, size: int) -> list[Event]:
    length = _TAIL_BYTES
    while True:
        start = max(_HEAD_BYTES, size - length)
        events = _events(stream, start, size)
        if start == _HEAD_BYTES or length >= _MOST_TAIL_BYTES or _last(events, StepLogged):
            return events
        length *= 4


def _events(stream: BinaryIO, start: int, stop: int) -> list[Event]:
    # A line that is cut at either edge decodes to nothing.
    stream.seek(start)
    data = stream.read(stop - start)
    return [event for line in data.split(b"\n") if (event := decode(line)) is not None]


def _last(events: Sequence[Event], kind: type[E]) -> E | None:
    return next((event for event in reversed(events) if isinstance(event, kind)), None)
