"""The figures of a run as parallel columns, and what drawing needs of them."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field

from tuitune.face.curve import SMOOTHING, Average
from tuitune.face.figures import EVAL, LOSS
from tuitune.run import events


@dataclass(frozen=True, slots=True)
class EvalPoint:
    """One evaluation, and where it stands on each axis; metrics: its own figures, named as those of a step."""

    step: int
    seconds: float
    tokens: float
    loss: float
    metrics: Mapping[str, float] = field(default_factory=dict)

    def of(self, name: str) -> float:
        """Return its loss or one of its figures, nan where it has none."""
        return self.loss if name == LOSS else self.metrics.get(name, math.nan)


def _numbers() -> array[float]:
    return array("d")


@dataclass
class Curves:
    """One entry per logged step; what was not measured is nan. `tokens` and `seconds` count from the first step on.

    `metrics` are the stage's own, by name. `cuts` grows when entries are taken back, as an attempt that starts from an
    earlier step does. `main` names the column that is smoothed.
    """

    step: array[float] = field(default_factory=_numbers)
    seconds: array[float] = field(default_factory=_numbers)
    tokens: array[float] = field(default_factory=_numbers)
    epoch: array[float] = field(default_factory=_numbers)
    loss: array[float] = field(default_factory=_numbers)
    lr: array[float] = field(default_factory=_numbers)
    grad: array[float] = field(default_factory=_numbers)
    speed: array[float] = field(default_factory=_numbers)
    metrics: dict[str, array[float]] = field(default_factory=dict)
    evals: list[EvalPoint] = field(default_factory=list)
    cuts: int = 0
    main: str = LOSS

    def __post_init__(self) -> None:
        self._smoothing = SMOOTHING
        self._average = Average(SMOOTHING)
        self._smoothed: array[float] | None = None

    def __len__(self) -> int:
        return len(self.step)

    def add(self, event: events.StepLogged, seconds: float) -> None:
        """Append the figures of a step that ended `seconds` after the training began."""
        before = self.tokens[-1] if self.tokens else 0.0
        nan = math.nan
        figures = (
            (self.step, event.step), (self.seconds, seconds), (self.tokens, before + event.tokens),
            (self.epoch, event.epoch), (self.loss, event.loss), (self.lr, event.learning_rate),
            (self.grad, nan if event.grad_norm is None else event.grad_norm), (self.speed, event.tokens_per_second),
        )  # fmt: skip
        for column, value in figures:
            column.append(value)
        for name in event.metrics:
            self.metrics.setdefault(name, array("d", [nan]) * (len(self) - 1))
        for name, column in self.metrics.items():
            column.append(event.metrics.get(name, nan))

    def add_eval(self, event: events.EvalLogged, seconds: float) -> EvalPoint:
        """Append an evaluation and return it."""
        tokens = self.tokens[-1] if self.tokens else 0.0
        figures = {name.removeprefix(EVAL): value for name, value in event.metrics.items()}
        point = EvalPoint(event.step, seconds, tokens, event.loss, figures)
        self.evals.append(point)
        return point

    def take_back(self, step: int) -> None:
        """Forget everything after `step`."""
        self.evals = [point for point in self.evals if point.step <= step]
        keep = bisect_right(self.step, step)
        if keep < len(self.step):
            for column in self.columns:
                del column[keep:]
            self.cuts += 1
            self._average = Average(self._smoothing)

    @property
    def columns(self) -> tuple[array[float], ...]:
        """All columns that are filled with each step."""
        own = self.metrics.values()
        return self.step, self.seconds, self.tokens, self.epoch, self.loss, self.lr, self.grad, self.speed, *own

    def column(self, name: str) -> array[float]:
        """Return a column by its name: one of the stage's own, or `loss`, `smooth`, `lr`, `grad`, `speed`."""
        found: array[float] | None = self.metrics.get(name)
        return getattr(self, name) if found is None else found

    @property
    def shown(self) -> str:
        """The name of `values`: what `main` says; the loss until there is such a column."""
        return self.main if self.main in self.metrics else LOSS

    @property
    def values(self) -> array[float]:
        """The column that `main` names; the loss until there is one."""
        return self.metrics.get(self.main, self.loss)

    @property
    def smoothing(self) -> float:
        """The weight of the past in `smooth`, 0 to 0.99."""
        return self._smoothing

    @smoothing.setter
    def smoothing(self, weight: float) -> None:
        if weight != self._smoothing:
            self._smoothing = min(0.99, max(0.0, weight))
            self._average = Average(self._smoothing)

    @property
    def smooth(self) -> array[float]:
        """The smoothed `values`, a nan where those are not finite."""
        if self.values is not self._smoothed:
            self._smoothed, self._average = self.values, Average(self._smoothing)
        return self._average.of(self.values)
