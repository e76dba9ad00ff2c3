"""The curve, the sparklines and the progress of a run as rows: three columns hold for everything.

Names, steps, values now: a column of the chart, of each sparkline and of the axis below them is the same step.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right

from tuitune.recipe import Recipe
from tuitune.tui.curves import Curves, EvalPoint
from tuitune.tui.kit.axis import Scale, foot, scale
from tuitune.tui.kit.blocks import Blocks
from tuitune.tui.kit.chart import Series, chart, digits, ends
from tuitune.tui.kit.rows import R, Row, cut, slim, spark, width_of
from tuitune.tui.kit.units import fixed, lasting, scientific
from tuitune.tui.panes.loss_look import Look, across, chosen, place_of, window
from tuitune.tui.panes.loss_words import notes
from tuitune.tui.runview import RunView

EDGE = 6
_WIDE, _SIDE, _NARROW_SIDE = 76, 17, 15
_STEEP = 0.15  # the share of what is seen that `robust` leaves out at its beginning
_SCHEDULES = {
    "cosine_with_restarts": "restarts", "constant_with_warmup": "constant", "inverse_sqrt": "1/√step",
    "reduce_lr_on_plateau": "plateau", "cosine_with_min_lr": "cosine", "cosine_warmup_with_min_lr": "cosine",
    "warmup_stable_decay": "wsd", "polynomial": "poly",
}  # fmt: skip


def side_of(width: int) -> int:
    """Return the cells that the values now take."""
    return _SIDE if width >= _WIDE else _NARROW_SIDE


def columns(width: int) -> int:
    """Return the cells that are left for the steps."""
    return max(8, width - EDGE - side_of(width))


class Summaries:
    """Blocks of the columns of one `Curves`, kept as long as it only grows."""

    def __init__(self) -> None:
        self._blocks: dict[str, Blocks] = {}
        self._sign: tuple[int, int, float] | None = None

    def of(self, curves: Curves, name: str) -> Blocks:
        """Return the summaries of a column."""
        sign = id(curves), curves.cuts, curves.smoothing
        if sign != self._sign:
            self._blocks, self._sign = {}, sign
        values = getattr(curves, name)
        found = self._blocks.get(name)
        if found is None or found.values is not values:
            found = self._blocks[name] = Blocks(values)
        return found


class Plot:
    """The figures of one run, drawn into so many cells."""

    def __init__(self, view: RunView, look: Look, recipe: Recipe | None, kept: Summaries, width: int) -> None:
        self.view, self.look, self.recipe = view, look, recipe
        self.curves, self._kept = view.curves, kept
        self.side = side_of(width)
        self.width = width
        self.window = window(view, look, columns(width))
        curves = self.curves
        self.last = len(curves) - 1
        self.now = chosen(view, look)

    def rows(self, height: int) -> list[Row]:
        """Return everything; what there is no room for goes in this order: gaps, sparklines, the axis."""
        said = notes(self.view, self.width - EDGE, most=max(1, min(4, height // 5)))
        room = height - 1 - len(said)
        sparks = self._sparks()
        gaps = 2
        while gaps and room - 1 - gaps - len(sparks) < 6:
            gaps -= 1
        while sparks and room - 1 - gaps - len(sparks) < 4:
            sparks.pop()
        axis = [self._foot()] if room >= 4 else []
        high = room - len(axis) - gaps - len(sparks)
        rows = self._chart(high) if high >= 2 else []
        rows += [*axis, *([[]] if gaps else []), *sparks, *([[]] if gaps == 2 else []), self._progress()]
        return rows + [[(" " * EDGE, "ink"), *row] for row in said]

    # The chart

    def _chart(self, high: int) -> list[Row]:
        axis = self._scale(high)
        evals = self.curves.evals
        marks = Series([self._across(point) for point in evals], Blocks([p.loss for p in evals]), "eval", "marks")
        series = [*self._lines(), marks]
        cursor = self._xs()[self.now] if self.look.cursor is not None else None
        place = ends(self._labels(evals), axis, self.side)
        self._hero(place, high)
        names = {row: cut(label, EDGE - 1) for row, label in axis.marks}
        rows = chart(self.window, axis, series, cursor)
        return [R("quiet", f"{names.get(i, ''):>{EDGE - 1}} ") + row + place.get(i, []) for i, row in enumerate(rows)]

    def _lines(self) -> list[Series]:
        xs, curves = self._xs(), self.curves
        smooth = Series(xs, self._kept.of(curves, "smooth"), "smooth", "bold")
        if not curves.smoothing:
            return [smooth]
        return [Series(xs, self._kept.of(curves, "loss"), "raw"), smooth]

    def _scale(self, high: int) -> Scale:
        start, stop = self._seen()
        loss, smooth = (self._kept.of(self.curves, name) for name in ("loss", "smooth"))
        found = loss.stretch(start, stop)
        low, top = found.low, found.high
        late = start + int((stop - start) * _STEEP)
        if self.look.robust and (tail := smooth.stretch(late, stop)).finite:
            top = tail.high + 0.15 * (tail.high - low)
        begin = self._xs()[late] if self.look.robust and late < len(self.curves) else self.window.low
        for point in self.curves.evals:
            if math.isfinite(point.loss) and begin <= self._across(point) <= self.window.high:
                low, top = min(low, point.loss), max(top, point.loss)
        if not math.isfinite(low + top):
            low, top = 0.0, 1.0
        if self.look.log:
            top = top if top > 0 else 1.0
            low = low if low > 0 else top * 1e-3
        return scale(low, top, high, log=self.look.log)

    def _labels(self, evals: list[EvalPoint]) -> list[tuple[float, str, str]]:
        curves, labels = self.curves, []
        known = [point for point in evals if point.step <= curves.step[self.now]] if self.look.cursor else evals
        if known:
            labels.append((known[-1].loss, "eval", "eval"))
        if curves.smoothing:
            labels.append((curves.smooth[self.now], "smooth", "smooth"))
        return [*labels, (curves.loss[self.now], "raw" if curves.smoothing else "smooth", "loss")]

    def _hero(self, place: dict[int, Row], high: int) -> None:
        """Put the smoothed loss into the corner that a falling curve leaves empty."""
        drawn = digits(self.curves.smooth[self.now], self.side - 1)
        if drawn is None or min(place, default=0) <= 4 or high < 8:
            return
        place.update({i: R("smooth b", f" {line}") for i, line in enumerate(drawn)})
        if (change := self._change()) is not None:
            place[3] = change

    def _change(self) -> Row | None:
        """Return how far the smoothed loss went in the last hundred steps, or ten of a young run."""
        curves, smooth = self.curves, self.curves.smooth
        for steps in (100, 10):
            before = bisect_right(curves.step, curves.step[self.now] - steps) - 1
            if before < 0:
                continue
            change = smooth[self.now] - smooth[before]
            over = curves.step[self.now] - curves.step[before]
            if math.isfinite(change) and over <= 2 * steps:
                size = fixed(abs(change) * steps / over)
                return R("ink", f" {'▾' if change <= 0 else '▴'} {size}", "quiet", f" / {steps}")
        return None

    # Below it

    def _foot(self) -> Row:
        seen = self.window
        return R("quiet", " " * EDGE + foot(seen.low, seen.high, seen.width, self.look.across))

    def _sparks(self) -> list[Row]:
        curves, recipe, now = self.curves, self.recipe, self.now
        name = recipe.lr_scheduler_type if recipe is not None else ""
        clip = recipe.max_grad_norm if recipe is not None else 0
        logged = self.view.picture.logged
        use = f"MFU {logged.mfu * 100:.0f} %" if logged is not None and logged.mfu and now == self.last else ""
        grad, speed = curves.grad[now], curves.speed[now]
        rows = [self._spark("lr", "lr", scientific(curves.lr[now]), _SCHEDULES.get(name, name))]
        if not math.isnan(grad) or self._kept.of(curves, "grad").stretch(0, len(curves)).finite:
            rows.append(self._spark("grad", "grad", fixed(grad, 2), f"clip {float(clip)}" if clip else ""))
        rows.append(self._spark("tok/s", "speed", f"{speed:,.0f}" if math.isfinite(speed) else "n/a", use))
        return rows

    def _spark(self, name: str, column: str, now: str, note: str) -> Row:
        means = self._means(column)
        known = [value for value in means if math.isfinite(value)]
        bars = spark(means, self.window.width, 0.0, max(known, default=0.0) * 1.1 or 1.0)
        role = "error b" if now in ("nan", "inf", "-inf") else "strong b"
        row = R("quiet", f"{name:>{EDGE - 1}} ", "spark", bars, role, f" {now:<6}")
        room = self.width - width_of(row) - 1
        return row + R("quiet", f" {cut(note, room)}") if note and self.side > _NARROW_SIDE and room >= 4 else row

    def _means(self, column: str) -> list[float]:
        """Return the mean of each cell; where none was logged, the value before still holds."""
        bounds = self._bounds(self.window.width)
        bins = self._kept.of(self.curves, column).bins(bounds)
        values: list[float] = []
        for index, found in enumerate(bins):
            ended = bounds[index] >= len(self.curves)
            values.append(math.nan if ended or (found.gaps and not found.finite) else found.mean)
            if math.isnan(values[-1]) and not found.gaps and not ended:
                values[-1] = values[-2] if index else self._before(column, bounds[0])
        return values

    def _before(self, column: str, start: int) -> float:
        found: float = getattr(self.curves, column)[max(0, start - 1)]
        return found

    def _progress(self) -> Row:
        view, side = self.view, self.side
        picture, wide = view.picture, self.window.width
        name = R("quiet", f"{'run':>{EDGE - 1}} ")
        ended = view.status in ("finished", "stopped", "failed", "crashed")
        last = lasting(picture.elapsed()) if view.status == "finished" else "" if ended else self._left()
        if not picture.total:
            return name + slim([], 1, wide) + R("strong b", f" {picture.step:,}", "quiet", " steps")
        share = min(1.0, picture.step / picture.total)
        role = {"paused": "warn", "stopping": "warn", "failed": "error", "crashed": "error"}.get(view.status, "accent")
        bar = slim([(share, role)], 1.0, wide)
        return [*name, *bar, *R("strong b", f" {int(share * 100)} % ", "ink", "  " * (side > _NARROW_SIDE) + last)]

    def _left(self) -> str:
        eta = self.view.eta
        return lasting(eta) if eta is not None and eta >= 10 else f"{eta:.0f} s" if eta is not None else ""

    # Where things stand

    def _xs(self) -> array[float]:
        return across(self.curves, self.look.across)

    def _across(self, point: EvalPoint) -> float:
        return place_of(point, self.look.across)

    def _bounds(self, parts: int) -> list[int]:
        return self.window.bounds(self._xs(), parts)

    def _seen(self) -> tuple[int, int]:
        bounds = self._bounds(1 + self.window.width * 2)
        start, stop = bounds[0], bounds[-1]
        return (start, stop) if start < stop else (max(0, start - 1), min(len(self.curves), stop + 1))
