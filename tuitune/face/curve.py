"""The curve of one run, to be laid over others: its steps, its evaluations, and how it is smoothed."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Literal

from tuitune.face import figures
from tuitune.run import RunDir
from tuitune.run.ledger import EvalPlace, Ledger

Across = Literal["steps", "time", "tokens"]
Kinds = Literal["training and evaluation", "training", "evaluation"]
ACROSS: tuple[Across, ...] = ("steps", "time", "tokens")
# As titles say it: the time is that of training. Loading, pauses and the hours between attempts take none of it.
TITLES: Mapping[Across, str] = {"steps": "steps", "time": "training time", "tokens": "tokens"}
KINDS: tuple[Kinds, ...] = ("training and evaluation", "training", "evaluation")
LETTERS = "abcdefgh"  # each curve has one, so that nobody depends on colours; more than these cannot be told apart
SMOOTHING = 0.9
NO_LOG = "only the loss has a logarithmic scale: other figures may be negative"


class RunCurve:
    """A run's loss, or another figure of it, with its evaluations. `read` belongs into a thread for a long run."""

    def __init__(self, run: RunDir, figure: str | None = None) -> None:
        self.run = run
        self.asked = figure  # None: what tells most of the run's stage
        self._ledger = Ledger(run.events, self._figure)

    def _figure(self, stage: str) -> str:
        return self.asked or figures.main(stage)

    @property
    def figure(self) -> str:
        """The name of what is drawn."""
        return self._ledger.figure

    @property
    def values(self) -> array[float]:
        """The figure at each logged step; nan where a step has none."""
        return self._ledger.columns.values

    def __len__(self) -> int:
        return len(self._ledger.columns)

    def read(self) -> bool:
        """Take in what is new; return whether there was anything."""
        return self._ledger.read()

    @property
    def logs(self) -> bool:
        """Whether any step has the figure; a loss counts that is not a number, as that of a training gone wrong is."""
        return len(self) > 0 and (self.figure == figures.LOSS or self._is_logged())

    def _is_logged(self) -> bool:
        return any(map(math.isfinite, self.values))

    @property
    def tested(self) -> bool:
        """Whether any evaluation has the figure."""
        return not all(map(math.isnan, self.evaluations("steps")[1]))

    def missing(self, figure: str, kinds: Kinds) -> str:
        """Return what the run has not, so that no curve of `figure` can be drawn; empty where it can."""
        word = figures.word(figure)
        if not len(self):
            return "no step yet"
        if self.figure != figure == figures.LOSS:
            return "learns from rewards"  # its loss is there, and says little
        if self.figure != figure or not self.logs:
            return f"without {word}"
        if kinds == "evaluation" and not self.tested:
            return "not evaluated" if figure == figures.LOSS else f"no evaluation with {word}"
        return ""

    def xs(self, across: Across) -> array[float]:
        """Return where the steps stand on the horizontal axis."""
        columns = self._ledger.columns
        return {"steps": columns.step, "time": columns.seconds, "tokens": columns.tokens}[across]

    def smoothed(self, weight: float) -> array[float]:
        """Return the values, smoothed with so much of the past; 0 is the values themselves."""
        return Average(weight).of(self.values) if weight else self.values

    def evaluations(self, across: Across) -> tuple[list[float], list[float]]:
        """Return where the evaluations stand, and the figure of each; nan where it has none."""
        evals = self._ledger.evals
        return [_place(each, across) for each in evals], [self._of(each) for each in evals]

    def _of(self, each: EvalPlace) -> float:
        metrics: Mapping[str, float] = each.event.metrics
        name = self.figure
        return each.event.loss if name == figures.LOSS else metrics.get(f"{figures.EVAL}{name}", math.nan)


def _place(each: EvalPlace, across: Across) -> float:
    return {"steps": float(each.event.step), "time": each.seconds, "tokens": each.tokens}[across]


class Average:
    """An exponential moving average without the pull of its start, as TensorBoard draws it; nan leaves it alone."""

    def __init__(self, weight: float) -> None:
        self._weight = weight
        self._sum, self._share = 0.0, 0.0
        self._values = array("d")

    def of(self, values: Sequence[float]) -> array[float]:
        """Return the average at each of `values`, which may only have grown since the last call."""
        weight, out = self._weight, self._values
        for index in range(len(out), len(values)):
            value = values[index]
            if math.isfinite(value):
                self._sum = weight * self._sum + (1 - weight) * value
                self._share = weight * self._share + (1 - weight)
                out.append(self._sum / self._share)
            else:
                out.append(math.nan)
        return out
