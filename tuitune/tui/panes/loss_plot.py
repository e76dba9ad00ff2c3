"""The curve, the sparklines and the progress of a run as rows: three columns hold for everything.

Names, steps, values now: a column of the chart, of each sparkline and of the axis below them is the same step.
"""

from __future__ import annotations

import math
from array import array
from bisect import bisect_right

from tuitune.face import figures
from tuitune.recipe import Recipe
from tuitune.text import clean_line
from tuitune.tui.curves import Curves, EvalPoint
from tuitune.tui.kit.axis import Scale, foot, scale
from tuitune.tui.kit.blocks import Blocks, Stretch
from tuitune.tui.kit.chart import Series, chart, digits, ends
from tuitune.tui.kit.rows import R, Row, cut, slim, spark, width_of
from tuitune.tui.kit.units import fixed, lasting, scientific
from tuitune.tui.panes.loss_look import Look, across, chosen, place_of, window
from tuitune.tui.panes.loss_words import notes
from tuitune.tui.runview import RunView

EDGE = 6
_WIDE, _SIDE, _NARROW_SIDE = 76, 17, 15
_ROOMY = 14  # rows of a chart beside which there is room for figures that tell less
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
        values = curves.column(name)
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
        self.main = curves.shown
        self.log = look.log and self.main == figures.LOSS  # other figures may be negative
        self.last = len(curves) - 1
        self.now = chosen(view, look)

    def rows(self, height: int) -> list[Row]:
        """Return everything; what there is no room for goes in this order: lesser figures, gaps, sparklines, axis."""
        said = notes(self.view, self.width - EDGE, most=max(1, min(4, height // 5)))
        room = height - 1 - len(said)
        sparks = self._sparks()
        gaps = 2
        while gaps and room - 1 - gaps - len(sparks) < 6:
            gaps -= 1
        while sparks and room - 1 - gaps - len(sparks) < 4:
            sparks.pop()
        spare = room - 1 - gaps - len(sparks) - max(_ROOMY, room // 2)
        sparks += self._lesser(spare) if gaps == 2 else []
        axis = [self._foot()] if room >= 4 else []
        high = room - len(axis) - gaps - len(sparks)
        rows = self._chart(high) if high >= 2 else []
        rows += [*axis, *([[]] if gaps else []), *sparks, *([[]] if gaps == 2 else []), self._progress()]
        return rows + [[(" " * EDGE, "ink"), *row] for row in said]

    # The chart

    def _chart(self, high: int) -> list[Row]:
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
        smooth = Series(xs, self._kept.of(curves, "smooth"), "smooth", "bold")
        if not curves.smoothing:
            return [smooth]
        return [Series(xs, self._kept.of(curves, self.main), "raw"), smooth]

    def _scale(self, high: int) -> Scale:
        start, stop = self._seen()
        raw, smooth = (self._kept.of(self.curves, name) for name in (self.main, "smooth"))
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
        rows = [self._own(each) for each in self._telling()]
        rows.append(self._spark("lr", "lr", scientific(curves.lr[now]), _SCHEDULES.get(name, name)))
        if not math.isnan(grad) or self._kept.of(curves, "grad").stretch(0, len(curves)).finite:
            rows.append(self._spark("grad", "grad", fixed(grad, 2), f"clip {float(clip)}" if clip else ""))
        rows.append(self._spark("tok/s", "speed", f"{speed:,.0f}" if math.isfinite(speed) else "n/a", use))
        return rows

    def _telling(self) -> list[str]:
        """Return the figures that tell most, but for the one that the large curve shows."""
        stage, known = self.view.picture.stage, self.curves.metrics
        first = [figures.main(stage)] if figures.main(stage) in known else []
        names = [*first, *figures.telling(stage, known), *([figures.LOSS] if self.main != figures.LOSS else [])]
        return [name for name in dict.fromkeys(names) if name != self.main]

    def _lesser(self, most: int) -> list[Row]:
        """Return up to `most` figures that tell less."""
        names = [name for name in figures.others(self.view.picture.stage, self.curves.metrics) if name != self.main]
        return [self._own(name) for name in names[: max(0, most)]]

    def _own(self, name: str) -> Row:
        """Return one of the stage's own figures, or the loss; with the last evaluation where it has that too."""
        known = [value for point in self.curves.evals if math.isfinite(value := point.of(name))]
        note = f"◆ {fixed(known[-1], 2)}" if known and self.now == self.last else ""
        return self._spark(
            cut(clean_line(figures.label(name)), EDGE - 1), name, _short(self.curves.column(name)[self.now]), note
        )

    def _spark(self, name: str, column: str, now: str, note: str) -> Row:
        means = self._means(column)
        known = [value for value in means if math.isfinite(value)]
        low = min(0.0, *known) if known else 0.0
        high = max(known, default=0.0)
        bars = spark(means, self.window.width, low, high + 0.1 * (high - low) or low + 1.0)
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
        return self.curves.column(column)[max(0, start - 1)]

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


def _short(value: float) -> str:
    """Return a value in at most six cells."""
    wanted = (1,) if abs(value) >= 100 else (3, 2, 1)
    return next((text for digits in wanted if len(text := fixed(value, digits)) <= 6), fixed(value, 1))
