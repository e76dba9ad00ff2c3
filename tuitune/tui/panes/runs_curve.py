"""The curve of one run as an overlay draws it: read in bulk once, then only what is new; summed up for drawing."""

from __future__ import annotations

from tuitune.face.curve import Average, RunCurve
from tuitune.run import RunDir
from tuitune.tui.kit.blocks import Blocks


class Curve(RunCurve):
    """A curve whose values are summed up in blocks, so that it is drawn anew without looking at each of them."""

    def __init__(self, run: RunDir, figure: str | None = None) -> None:
        super().__init__(run, figure)
        self._cuts = 0
        self._raw: Blocks | None = None
        self._smooth: tuple[float, Average, Blocks] | None = None

    def _is_logged(self) -> bool:
        return self.drawn(0).stretch(0, len(self)).finite > 0

    def drawn(self, weight: float) -> Blocks:
        """Return the values, smoothed with so much of the past; 0 is the values themselves."""
        if self._cuts != self._ledger.cuts or (self._raw is not None and self._raw.values is not self.values):
            self._cuts, self._raw, self._smooth = self._ledger.cuts, None, None
        if not weight:
            self._raw = self._raw or Blocks(self.values)
            return self._raw
        if self._smooth is None or self._smooth[0] != weight:
            average = Average(weight)
            self._smooth = weight, average, Blocks(average.of(self.values))
        self._smooth[1].of(self.values)
        return self._smooth[2]
