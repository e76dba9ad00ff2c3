"""The curve of a run with its evaluations, its axis of values, and the values at its end."""

from __future__ import annotations

import math
from bisect import bisect_right

from tuitune.face import figures
from tuitune.text import clean_line
from tuitune.tui.curves import EvalPoint
from tuitune.tui.kit.axis import Scale, scale
from tuitune.tui.kit.blocks import Blocks, Stretch
from tuitune.tui.kit.chart import Series, chart, digits, ends
from tuitune.tui.kit.rows import R, Row, cut
from tuitune.tui.kit.units import fixed
from tuitune.tui.panes.loss_frame import EDGE, Frame

_STEEP = 0.15  # the share of what is seen that `robust` leaves out at its beginning


class Chart(Frame):
    """The large curve of a plot."""

    def rows(self, high: int) -> list[Row]:
        """Return the curve in so many rows."""
        axis = self._scale(high)
        evals = self.curves.evals
        marks = Series(
            [self._across(point) for point in evals], Blocks([p.of(self.main) for p in evals]), "eval", "marks"
        )
        series = [*self._lines(), marks]
        cursor = self._xs()[self.now] if self.look.cursor is not None else None
        place = ends(self._labels(evals), axis, self.side)
        self._hero(place, high)
        names = {row: cut(label, EDGE - 1) for row, label in axis.marks}
        rows = chart(self.window, axis, series, cursor)
        return [R("quiet", f"{names.get(i, ''):>{EDGE - 1}} ") + row + place.get(i, []) for i, row in enumerate(rows)]

    def _lines(self) -> list[Series]:
        xs, curves = self._xs(), self.curves
        smooth = Series(xs, self._blocks("smooth"), "smooth", "bold")
        if not curves.smoothing:
            return [smooth]
        return [Series(xs, self._blocks(self.main), "raw"), smooth]

    def _scale(self, high: int) -> Scale:
        start, stop = self._seen()
        raw, smooth = (self._blocks(name) for name in (self.main, "smooth"))
        found = raw.stretch(start, stop)
        low, top = found.low, found.high
        late = start + int((stop - start) * _STEEP)
        if self.look.robust and (tail := smooth.stretch(late, stop)).finite:
            top, low = self._without_start(low, top, tail)
        begin = self._xs()[late] if self.look.robust and late < len(self.curves) else self.window.low
        for point in self.curves.evals:
            value = point.of(self.main)
            if math.isfinite(value) and begin <= self._across(point) <= self.window.high:
                low, top = min(low, value), max(top, value)
        if not math.isfinite(low + top):
            low, top = 0.0, 1.0
        if self.log:
            top = top if top > 0 else 1.0
            low = low if low > 0 else top * 1e-3
        return scale(low, top, high, log=self.log)

    def _without_start(self, low: float, top: float, tail: Stretch) -> tuple[float, float]:
        """Return top and low of a curve without its steep beginning: a loss falls into `tail`, a reward rises."""
        if self.main == figures.LOSS:
            return tail.high + 0.15 * (tail.high - low), low
        return top, tail.low - 0.15 * (top - tail.low)

    def _labels(self, evals: list[EvalPoint]) -> list[tuple[float, str, str]]:
        curves, labels = self.curves, []
        known = [point for point in evals if point.step <= curves.step[self.now]] if self.look.cursor else evals
        known = [point for point in known if not math.isnan(point.of(self.main))]
        if known:
            labels.append((known[-1].of(self.main), "eval", "eval"))
        if curves.smoothing:
            labels.append((curves.smooth[self.now], "smooth", "smooth"))
        name = clean_line(figures.word(self.main))
        return [*labels, (curves.values[self.now], "raw" if curves.smoothing else "smooth", name)]

    def _hero(self, place: dict[int, Row], high: int) -> None:
        """Put the smoothed value into the corner that the curve leaves empty: the upper one where it falls."""
        drawn = digits(self.curves.smooth[self.now], self.side - 1)
        if drawn is None or high < 8:
            return
        upper, lower = min(place, default=high) - 1, high - 3 - max(place, default=-2)
        below = self._said_below(max(upper, lower) - len(drawn))
        if below is None:
            return
        rows = [*(R("smooth b", f" {line}") for line in drawn), *below]
        top = 0 if len(rows) <= upper else high - 1 - len(rows)
        place.update({top + i: row for i, row in enumerate(rows)})

    def _said_below(self, room: int) -> list[Row] | None:
        """Return what the large value is, and how far it went; what there is no room for is left out."""
        name = clean_line(figures.word(self.main))
        named = [R("quiet", f" {cut(f'smooth {name}' if self.curves.smoothing else name, self.side - 1)}")]
        change = self._change()
        return next((rows for rows in ([*named, *change], change or named, named) if len(rows) <= room), None)

    def _change(self) -> list[Row]:
        """Return how far the smoothed value went in the last hundred steps, or ten of a young run."""
        curves, smooth = self.curves, self.curves.smooth
        for steps in (100, 10):
            before = bisect_right(curves.step, curves.step[self.now] - steps) - 1
            if before < 0:
                continue
            change = smooth[self.now] - smooth[before]
            over = curves.step[self.now] - curves.step[before]
            if math.isfinite(change) and over <= 2 * steps:
                size = fixed(abs(change) * steps / over)
                return [R("ink", f" {'▾' if change <= 0 else '▴'} {size}"), R("quiet", f" in {steps} steps")]
        return []
