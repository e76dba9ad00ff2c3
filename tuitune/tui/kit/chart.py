"""Curves in braille dots, two by four to a cell: rows of spans, one role per cell."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tuitune.tui.kit.axis import Scale
from tuitune.tui.kit.blocks import Blocks, Stretch
from tuitune.tui.kit.rows import R, Row, merged
from tuitune.tui.kit.units import fixed

Kind = Literal["line", "bold", "marks"]
_BITS = ((1, 2, 4, 64), (8, 16, 32, 128))
_MARK = "◆"

_DIGITS = {
    "0": ("┏━┓", "┃ ┃", "┗━┛"), "1": (" ╻ ", " ┃ ", " ╹ "), "2": ("╺━┓", "┏━┛", "┗━╸"), "3": ("╺━┓", "╺━┫", "╺━┛"),
    "4": ("╻ ╻", "┗━┫", "  ╹"), "5": ("┏━╸", "┗━┓", "╺━┛"), "6": ("┏━╸", "┣━┓", "┗━┛"), "7": ("╺━┓", "  ┃", "  ╹"),
    "8": ("┏━┓", "┣━┫", "┗━┛"), "9": ("┏━┓", "┗━┫", "╺━┛"), ".": (" ", " ", "▪"), "-": ("  ", "╺╸", "  "),
}  # fmt: skip


@dataclass(frozen=True)
class Series:
    """A curve: where its points are, their values (nan is a gap), its colour and how it is drawn.

    Where points are many, "line" shows the least and the greatest of each column of dots, "bold" their mean.
    """

    xs: Sequence[float]
    values: Blocks
    role: str
    kind: Kind = "line"
    mark: str = _MARK  # the sign of "marks", one cell


@dataclass(frozen=True)
class Window:
    """The part of the horizontal axis that is seen, over `width` cells."""

    low: float
    high: float
    width: int

    def dot(self, x: float) -> int:
        """Return the column of dots where `x` stands."""
        span = self.high - self.low
        return round((x - self.low) / span * (self.width * 2 - 1)) if span > 0 else 0

    def column(self, x: float) -> int:
        """Return the cell where `x` stands."""
        return self.dot(x) // 2

    def bounds(self, xs: Sequence[float], parts: int) -> list[int]:
        """Return the indices that part the sorted `xs` at the edges of so many equal columns."""
        step = (self.high - self.low) / max(1, parts - 1)
        edges = (self.low + (i - 0.5) * step for i in range(parts + 1))
        return [bisect_left(xs, edge) for edge in edges]


class Canvas:
    """Cells that are dots of one role, or a sign."""

    def __init__(self, width: int, rows: int) -> None:
        self.width, self.rows = width, rows
        self._cells: dict[tuple[int, int], tuple[str, int | str]] = {}

    def sign(self, row: int, column: int, text: str, role: str) -> None:
        """Put a sign over whatever the cell holds."""
        if 0 <= row < self.rows and 0 <= column < self.width:
            self._cells[row, column] = role, text

    def upright(self, x: int, top: int, bottom: int, role: str) -> None:
        """Set the dots of one column from `top` to `bottom`; a cell of another role is taken over whole."""
        if not 0 <= x < self.width * 2:
            return
        bits = _BITS[x % 2]
        for y in range(max(0, top), min(self.rows * 4 - 1, bottom) + 1):
            place = y // 4, x // 2
            owner, mask = self._cells.get(place, ("", 0))
            kept = mask if owner == role and isinstance(mask, int) else 0
            self._cells[place] = role, bits[y % 4] | kept

    def line(self, start: tuple[int, int], end: tuple[int, int], role: str, thick: int) -> None:
        """Join two dots, one column of dots at a time."""
        (x0, y0), (x1, y1) = start, end
        if x1 <= x0:
            self.upright(x0, min(y0, y1) - thick, max(y0, y1), role)
            return
        before = y0
        for x in range(max(x0, -1), min(x1, self.width * 2) + 1):
            y = round(y0 + (y1 - y0) * (x - x0) / (x1 - x0))
            # The step from column to column belongs to the later one, so that a steep line has no holes.
            near = before + (y > before) - (y < before) if x > x0 else y
            self.upright(x, min(near, y) - thick, max(near, y), role)
            before = y

    def drawn(self) -> list[Row]:
        """Return the rows."""
        return [merged([self._cell(row, column) for column in range(self.width)]) for row in range(self.rows)]

    def _cell(self, row: int, column: int) -> tuple[str, str]:
        found = self._cells.get((row, column))
        if found is None:
            return " ", "ink"
        role, mask = found
        return (mask if isinstance(mask, str) else chr(0x2800 + mask)), role


def chart(window: Window, scale: Scale, series: Sequence[Series], cursor: float | None = None) -> list[Row]:
    """Return the rows of a chart; a later series takes a cell that it shares with an earlier one whole."""
    canvas = Canvas(window.width, scale.rows)
    for row, _ in scale.marks:
        for column in range(window.width):
            canvas.sign(row, column, "┈", "hair")
    if cursor is not None:
        for row in range(scale.rows):
            canvas.sign(row, window.column(cursor), "│", "quiet")
    for each in series:
        _draw(canvas, window, scale, each)
    return canvas.drawn()


def _draw(canvas: Canvas, window: Window, scale: Scale, series: Series) -> None:
    bounds = window.bounds(series.xs, window.width * 2)
    if series.kind == "marks":
        for index in range(bounds[0], bounds[-1]):
            y = _dot(scale, series.values.values[index])
            if y is not None:
                canvas.sign(y // 4, window.column(series.xs[index]), series.mark, series.role)
    elif bounds[-1] - bounds[0] <= window.width * 3:
        _join_points(canvas, window, scale, series, bounds)
    else:
        _join_bins(canvas, scale, series, series.values.bins(bounds))


def _join_points(canvas: Canvas, window: Window, scale: Scale, series: Series, bounds: Sequence[int]) -> None:
    thick, last = int(series.kind == "bold"), None
    # The neighbours beyond the edges give the line its direction there.
    for index in range(max(0, bounds[0] - 1), min(len(series.xs), bounds[-1] + 1)):
        y = _dot(scale, series.values.values[index])
        if y is None:
            last = None
            continue
        here = window.dot(series.xs[index]), y
        canvas.line(last or here, here, series.role, thick)
        last = here


def _join_bins(canvas: Canvas, scale: Scale, series: Series, bins: Sequence[Stretch]) -> None:
    thick, last = int(series.kind == "bold"), None
    for x, found in enumerate(bins):
        middle = _dot(scale, found.mean)
        if middle is not None:
            here = x, middle
            canvas.line(last or here, here, series.role, thick)
            if not thick:
                high, low = _dot(scale, found.high), _dot(scale, found.low)
                canvas.upright(x, middle if high is None else high, middle if low is None else low, series.role)
            last = here
        if found.gaps:
            last = None


def _dot(scale: Scale, value: float) -> int | None:
    """Return the row of dots of a value, None where there is nothing to draw; far outside is just outside."""
    if not math.isfinite(value) or math.isnan(row := scale.at(value)):
        return None
    return round(min(scale.rows + 2.0, max(-2.0, row)) * 4 + 1.5)


def ends(curves: Sequence[tuple[float, str, str]], scale: Scale, width: int) -> dict[int, Row]:
    """Return labels (value, role, name) for the right ends of curves, each on a row of its own."""
    known = sorted((each for each in curves if math.isfinite(each[0])), key=lambda each: -each[0])
    lost = [each for each in curves if not math.isfinite(each[0])]
    places: list[int] = []
    for value, _, _ in known:
        row = scale.at(value)
        wished = scale.rows - 1 if math.isnan(row) else round(min(scale.rows - 1.0, max(0.0, row))) - (len(known) > 2)
        places.append(max(wished, places[-1] + 1 if places else 0))
    # What is not a number has no place: it stands below the rest.
    places += [(places[-1] if places else -1) + 1 + i for i in range(len(lost))]
    for i in range(len(places) - 1, -1, -1):
        places[i] = max(0, min(places[i], scale.rows - len(places) + i))
    return {place: _label(each, width) for place, each in zip(places, [*known, *lost], strict=True)}


def _label(curve: tuple[float, str, str], width: int) -> Row:
    value, role, name = curve
    plain = role == "raw"
    figure = "quiet" if plain else f"{role} b"
    if not math.isfinite(value):
        figure = "error b"
    return R(figure, f" {fixed(value):<5}"[:width], "quiet" if plain else role, f" {name}")


def digits(value: float, width: int) -> list[str] | None:
    """Return a number in three rows of large digits, with as many decimals as fit; None for what does not fit."""
    if not math.isfinite(value) or abs(value) >= 1e4:
        return None
    for decimals in (3, 2, 1, 0):
        text = f"{value:.{decimals}f}"
        if not float(text) and value:
            return None
        rows = ["".join(_DIGITS[sign][i] for sign in text) for i in range(3)]
        if len(rows[0]) <= width:
            return rows
    return None
