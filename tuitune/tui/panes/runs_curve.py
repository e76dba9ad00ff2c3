"""The curve of one run as an overlay draws it: read in bulk once, then only what is new; summed up for drawing."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from typing import Literal

from tuitune.face import figures
from tuitune.run import RunDir
from tuitune.run.ledger import EvalPlace, Ledger
from tuitune.tui.curves import Average
from tuitune.tui.kit.blocks import Blocks

Across = Literal["steps", "time", "tokens"]


class Curve:
    """A run's loss, or another figure of it, with its evaluations. `read` belongs into a thread for a long run."""

    def __init__(self, run: RunDir, figure: str | None = None) -> None:
        self.run = run
        self.asked = figure  # None: what tells most of the run's stage
        self._ledger = Ledger(run.events, self._figure)
        self._cuts = 0
        self._raw: Blocks | None = None
        self._smooth: tuple[float, Average, Blocks] | None = None

    def _figure(self, stage: str) -> str:
        return self.asked or figures.main(stage)

    @property
    def figure(self) -> str:
        """The name of what is drawn."""
        return self._ledger.figure

    def __len__(self) -> int:
        return len(self._ledger.columns)

    def read(self) -> bool:
        """Take in what is new; return whether there was anything."""
        return self._ledger.read()

    @property
    def logs(self) -> bool:
        """Whether any step has the figure; a loss counts that is not a number, as that of a training gone wrong is."""
        return len(self) > 0 and (self.figure == figures.LOSS or self.drawn(0).stretch(0, len(self)).finite > 0)

    @property
    def tested(self) -> bool:
        """Whether any evaluation has the figure."""
        return not all(map(math.isnan, self.evaluations("steps")[1]))

    def xs(self, across: Across) -> array[float]:
        """Return where the steps stand on the horizontal axis."""
        columns = self._ledger.columns
        return {"steps": columns.step, "time": columns.seconds, "tokens": columns.tokens}[across]

    def drawn(self, weight: float) -> Blocks:
        """Return the values, smoothed with so much of the past; 0 is the values themselves."""
        columns = self._ledger.columns
        if self._cuts != self._ledger.cuts or (self._raw is not None and self._raw.values is not columns.values):
            self._cuts, self._raw, self._smooth = self._ledger.cuts, None, None
        if not weight:
            self._raw = self._raw or Blocks(columns.values)
            return self._raw
        if self._smooth is None or self._smooth[0] != weight:
            average = Average(weight)
            self._smooth = weight, average, Blocks(average.of(columns.values))
        self._smooth[1].of(columns.values)
        return self._smooth[2]

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
