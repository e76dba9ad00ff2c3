"""Axes with round marks: linear or logarithmic values on whole rows, steps, times and amounts along the foot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from tuitune.tui.kit.units import amount, tick

_FAR = 1e300  # beyond it the differences are no numbers any more
_TIMES = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


@dataclass(frozen=True)
class Scale:
    """A value axis over `rows` cells: `marks` are row and label of each grid line, the highest value is on row 0."""

    low: float
    high: float
    rows: int
    log: bool = False
    marks: tuple[tuple[int, str], ...] = ()

    def at(self, value: float) -> float:
        """Return where a value stands in rows from the top, nan for what has no place on a logarithmic axis."""
        if self.log:
            if value <= 0:
                return math.nan
            value = math.log10(value)
        return (self.high - value) / (self.high - self.low) * (self.rows - 1)


def scale(low: float, high: float, rows: int, *, log: bool = False) -> Scale:
    """Return an axis that covers low..high (> 0 where `log`), its grid on whole rows."""
    rows = max(2, rows)
    low, high = (min(_FAR, max(-_FAR, value)) for value in (low, high))
    if log:
        found = _log_scale(low, high, rows)
        if len(found.marks) >= min(3, rows // 2):
            return found
        return max(found, _near_scale(low, high, rows), key=lambda each: len(each.marks))
    low, high = _widened(low, high)
    if 0 < low < 0.5 * high:
        low = 0.0
    gap, base, pace = _best(low, high, rows, _round_gaps(low, high, rows))
    count = (rows - 1) // pace
    marks = tuple((rows - 1 - i * pace, tick(base + i * gap, gap)) for i in range(count + 1))
    return Scale(base, base + gap * (rows - 1) / pace, rows, False, marks)


def _widened(low: float, high: float) -> tuple[float, float]:
    size = max(abs(low), abs(high))
    if high - low <= 1e-9 * size:
        return low - (size * 0.1 or 0.5), high + (size * 0.1 or 0.5)
    # Labels of five cells cannot tell values apart that differ by less than that.
    room = max(0.0, 5e-3 * size - (high - low)) / 2
    return low - room, high + room


def _round_gaps(low: float, high: float, rows: int) -> list[float]:
    power = math.floor(math.log10((high - low) / rows))
    gaps = [base * 10.0 ** (power + more) for more in range(3) for base in (1, 2, 2.5, 5)]
    return [gap for gap in gaps if _tells(gap, high)] or gaps


def _tells(gap: float, value: float) -> bool:
    """Whether marks so far apart differ in labels of five cells: 10.75 does it, 10.775 is too long."""
    digits = 4 - max(1, len(f"{abs(value):.0f}"))
    return digits < 0 or abs(round(gap, digits) - gap) < gap * 1e-6


def _best(low: float, high: float, rows: int, gaps: Sequence[float]) -> tuple[float, float, int]:
    """Return gap, first mark and rows from mark to mark that use the height best with an agreeable number of marks."""
    most = max(2, rows * 3 // 10)
    best: tuple[float, float, float, int] | None = None
    for gap in gaps:
        base = math.floor(low / gap + 1e-9) * gap
        pace = math.floor((rows - 1) * gap / (high - base) + 1e-9)
        if pace < 1:
            continue
        pace = min(pace, rows - 1)
        marks = (rows - 1) // pace + 1
        used = (high - low) * pace / ((rows - 1) * gap)
        # A wasted row counts less than too many or too few lines.
        cost = (1 - used) + 0.6 * max(0, 3 - marks) + 0.3 * max(0, marks - most - 1)
        if best is None or cost < best[0] - 1e-9:
            best = cost, gap, base, pace
    # Two rows cannot hold a zero and both its sides.
    return best[1:] if best is not None else (high - low, low, rows - 1)


def _log_scale(low: float, high: float, rows: int) -> Scale:
    bottom, top = math.log10(low), math.log10(high)
    if top - bottom < 1e-6:
        bottom, top = bottom - 0.05, top + 0.05
    gap, base, pace = _best(bottom, top, rows, [math.log10(2), *(float(n) for n in (1, 2, 3, 5, 10, 20, 50, 100, 700))])
    count = (rows - 1) // pace
    values = [10 ** min(300.0, base + i * gap) for i in range(count + 1)]
    marks = tuple((rows - 1 - i * pace, tick(value, value)) for i, value in enumerate(values))
    return Scale(base, base + gap * (rows - 1) / pace, rows, True, marks)


def _near_scale(low: float, high: float, rows: int) -> Scale:
    # Too few powers in a narrow range: round numbers on the rows that are nearest to them.
    low, high = _widened(low, high)
    low = max(low, high * 1e-300)
    plain = Scale(math.log10(low), math.log10(high), rows, True)
    values, gap = ticks(low, high, max(2, rows * 3 // 10))
    found = {round(plain.at(value)): tick(value, gap) for value in values if value > 0}
    return Scale(plain.low, plain.high, rows, True, tuple(sorted(found.items(), reverse=True)))


def ticks(low: float, high: float, most: int) -> tuple[list[float], float]:
    """Return at most about `most` round numbers within low..high, and how far they are apart."""
    raw = max(high - low, 1e-300) / max(1, most)
    base = 10.0 ** math.floor(math.log10(raw))
    gaps = [m * base for m in (1, 2, 2.5, 5, 10) if m * base >= raw * (1 - 1e-9)]
    gap = next((gap for gap in gaps if _tells(gap, high)), gaps[0])
    return _multiples(low, high, gap), gap


def _multiples(low: float, high: float, gap: float) -> list[float]:
    return [gap * i for i in range(math.ceil(low / gap - 1e-9), math.floor(high / gap + 1e-9) + 1)]


def foot(low: float, high: float, width: int, kind: str = "steps") -> str:
    """Return the line of labels under a chart of so many columns: `kind` is steps, time or tokens."""
    cells = [" "] * (width + 4)
    free = 0
    span = high - low
    for value, label in _foot_marks(low, high, width, kind):
        column = round((value - low) / span * (width - 1)) if span > 0 else 0
        if column >= free and column + len(label) <= len(cells):
            cells[column : column + len(label)] = label
            free = column + len(label) + 2
    return "".join(cells)


def _foot_marks(low: float, high: float, width: int, kind: str) -> list[tuple[float, str]]:
    most = max(1, width // 9)
    if kind == "time":
        gap: float = next((t for t in _TIMES if t * most >= high - low), 86400 * math.ceil((high - low) / most / 86400))
        return [(value, _clock(value, gap)) for value in _multiples(low, high, gap)]
    values, gap = ticks(low, high, most)
    if gap < 10 and gap != round(gap):
        # There is no half a step.
        values = _multiples(low, high, max(1, 2 * gap))
    short = kind == "tokens" or high >= 1e6
    return [(value, (amount(value) if value else "0") if short else f"{value:,.0f}") for value in values]


def _clock(seconds: float, gap: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    if gap >= 3600:
        return f"{hours // 24} d" if gap >= 86400 else f"{hours} h"
    return f"{hours}:{minutes_left:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
