"""The figures of a whole journal as columns: what an overlay draws and a list sums up."""

from __future__ import annotations

import os
import re
from array import array
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import BinaryIO

from tuitune.run.attempts import Attempts
from tuitune.run.events import (
    EvalLogged,
    Event,
    Paused,
    PhaseStarted,
    Resumed,
    RunFailed,
    RunFinished,
    RunStarted,
    StepLogged,
    decode,
)
from tuitune.run.journal import JournalReader
from tuitune.run.steplines import MARK, Steps, steps_in

_HEAD, _TAIL, _MOST_TAIL = 16 << 10, 64 << 10, 1 << 20  # bytes of a journal that is only skimmed
_OTHERS = re.compile(rb'\{"kind":"(?:RunStarted|PhaseStarted|EvalLogged|Paused|Resumed|RunFinished|RunFailed)"[^\n]*')


def _numbers() -> array[float]:
    return array("d")


@dataclass
class Columns:
    """One entry per logged step that still counts; `values` is the loss, or the figure that was asked for.

    seconds: of training, without loading and pauses. tokens: so far. Both count from the first step of the journal on.
    """

    step: array[float] = field(default_factory=_numbers)
    seconds: array[float] = field(default_factory=_numbers)
    tokens: array[float] = field(default_factory=_numbers)
    values: array[float] = field(default_factory=_numbers)

    def __len__(self) -> int:
        return len(self.step)

    def take_back(self, step: int) -> bool:
        """Forget what came after a step; return whether there was anything."""
        keep = bisect_right(self.step, step)
        if keep == len(self.step):
            return False
        for column in (self.step, self.seconds, self.tokens, self.values):
            del column[keep:]
        return True


@dataclass(frozen=True, slots=True)
class EvalPlace:
    """An evaluation, and where it stands on each axis."""

    event: EvalLogged
    seconds: float
    tokens: float


class Ledger:
    """Reads a journal as it grows. `read` brings `columns`, `evals` and the rest up to date.

    figure: for a stage, the name of the metric that `values` holds, "loss" for the loss itself. `cuts` grows when
    entries are taken back, as an attempt that starts from an earlier step does, or when another file lies there.
    """

    def __init__(self, path: Path, figure: Callable[[str], str] = lambda stage: "loss") -> None:
        self._figure, self._reader = figure, JournalReader(path)
        self.cuts = self._restarts = 0
        self._forget()

    def _forget(self) -> None:
        self.columns, self.evals = Columns(), list[EvalPlace]()
        self.first: RunStarted | None = None
        self.start: RunStarted | None = None
        self.last: StepLogged | None = None  # whole, with its own figures
        self.end: RunFinished | RunFailed | None = None
        self.seen = 0.0  # the time of the last of these events
        self.attempts = Attempts()
        # On the clock of the training, loading and pauses take no time: `_base` seconds at the unix time `_origin`.
        self._base, self._origin, self._paused = 0.0, 0.0, 0.0

    @property
    def figure(self) -> str:
        """The name of what `values` holds."""
        return self._figure(self.start.stage) if self.start is not None else "loss"

    def read(self) -> bool:
        """Take in what is new; return whether there was anything. A journal that is missing is empty."""
        data = self._reader.read_lines()
        if self._reader.restarts != self._restarts:
            # Another file lies there: nothing of the former one counts.
            self._restarts = self._reader.restarts
            self.cuts += 1
            self._forget()
        self._take_in(data)
        return bool(data)

    def skim(self) -> None:
        """Take in both ends of the journal only: the first start and the last step, whatever lies between."""
        try:
            with self._reader.path.open("rb", buffering=0) as stream:
                size = stream.seek(0, os.SEEK_END)
                self._take_in(_whole_lines(stream, 0, min(size, _HEAD)))
                length = _TAIL
                while MARK not in (tail := _whole_lines(stream, max(_HEAD, size - length), size)):
                    if length >= min(size, _MOST_TAIL):
                        break
                    length *= 4
        except FileNotFoundError:
            return
        self._take_in(tail)

    def _take_in(self, data: bytes) -> None:
        at = 0
        for match in _OTHERS.finditer(data):
            self._steps(data, at, match.start())
            at = match.end()
            if (event := decode(match[0])) is not None:
                if isinstance(event, RunStarted | RunFinished | RunFailed):
                    self._last_word(data, match.start())
                self._event(event)
        self._steps(data, at, len(data))
        self._last_word(data, len(data))
        if (last := data.rfind(MARK)) >= 0:
            found = decode(data[last : data.find(b"\n", last)])
            if isinstance(found, StepLogged) and len(self.columns) and found.step == self.columns.step[-1]:
                self.last = found

    def _last_word(self, data: bytes, stop: int) -> None:
        """Take in that an attempt lived when it wrote the line before a place, whatever that line says."""
        if (event := decode(data[data.rfind(b"\n", 0, max(0, stop - 1)) + 1 : stop])) is not None:
            self.attempts.alive(event.t)

    def _event(self, event: Event) -> None:
        self.seen = max(self.seen, event.t)
        self.attempts.take(event)
        match event:
            case RunStarted():
                self._begin(event)
            case PhaseStarted(phase="train"):
                self._origin = event.t
            case Paused():
                self._paused = event.t
            case Resumed() if self._paused:
                self._origin += event.t - self._paused
                self._paused = 0.0
            case EvalLogged():
                tokens = self.columns.tokens[-1] if len(self.columns) else 0.0
                self.evals.append(EvalPlace(event, self._seconds(event.t), tokens))
            case RunFinished() | RunFailed():
                self.end = event

    def _begin(self, event: RunStarted) -> None:
        self.cuts += self.columns.take_back(event.step)
        self.evals = [each for each in self.evals if each.event.step <= event.step]
        self._base = self.columns.seconds[-1] if len(self.columns) else 0.0
        self._origin, self._paused, self.end = event.t, 0.0, None
        self.first, self.start = self.first or event, event
        if self.last is not None and self.last.step > event.step:
            self.last = None

    def _seconds(self, now: float) -> float:
        last = self.columns.seconds[-1] if len(self.columns) else 0.0
        return max(last, self._base + now - self._origin)

    def _steps(self, data: bytes, start: int, stop: int) -> None:
        if (found := steps_in(data, start, stop, self.figure)) is not None and found.times:
            self._append(found)

    def _append(self, found: Steps) -> None:
        columns = self.columns
        if self.start is None and not len(columns):
            self._origin = found.times[0]  # a journal without its beginning
        last = self._seconds(found.times[0])
        # A clock that was set back must not turn the curve back.
        shift = self._base - self._origin
        columns.seconds.extend(list(accumulate((shift + t for t in found.times), max, initial=last))[1:])
        before = columns.tokens[-1] if columns.tokens else 0.0
        columns.tokens.extend(list(accumulate(found.tokens, initial=before))[1:])
        columns.step.extend(found.steps)
        columns.values.extend(found.values)
        self.seen = max(self.seen, found.times[-1])


def _whole_lines(stream: BinaryIO, start: int, stop: int) -> bytes:
    """Return the lines between two places, without those that are cut at either edge."""
    stream.seek(start)
    data = stream.read(max(0, stop - start))
    first = data.find(b"\n") + 1 if start else 0
    return data[first : data.rfind(b"\n") + 1]
