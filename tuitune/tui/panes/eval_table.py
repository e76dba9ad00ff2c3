"""The table of results: a row a figure, a column a model with its interval as numbers and drawn, and the difference."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tuitune.run.evaluation import DATA, Data, Difference, Estimate, Metric, Model
from tuitune.text import clean_line
from tuitune.tui.kit.rows import R, Row, cells, cut, fit, grounded, width_of
from tuitune.tui.kit.units import fixed

VERDICTS = {
    "better": ("✓", "ok", "better"),
    "worse": ("▼", "error", "worse"),
    "unclear": ("~", "quiet", "unclear"),
    "differs": ("≠", "ink", "differs"),
}
_ARROWS = {"less": "↓", "more": "↑", "": " "}
_VALUE, _ENDS = 7, 16  # cells of a value, of "0.123 to 0.456"
_DIFFERENCE = 17  # of "-3.284 ✓ better"
_NAME, _LEAST_NAME = 24, 10
_BAR, _LEAST_BAR = 21, 7
_INDENT = 11  # cells before a difference that has a line of its own
_ROLES = {"tuned": "accent", "base": "quiet", "other": "eval"}


@dataclass(frozen=True, slots=True)
class Columns:
    """How wide the columns are; zero leaves one out. `models` are those that have room."""

    models: Sequence[Model]
    name: int
    ends: int
    bar: int
    difference: int

    @property
    def each(self) -> int:
        """The cells of a model, with the gap before it."""
        return 2 + _VALUE + (self.ends + 1 if self.ends else 0) + (self.bar + 1 if self.bar else 0)


def columns(models: Sequence[Model], metrics: Sequence[Metric], width: int) -> Columns:
    """Return what fits: bars go last, the numbers of intervals before them, a model's value never."""
    wanted = max((cells(clean_line(each.title)) + 3 for each in metrics), default=_LEAST_NAME)
    name = max(_LEAST_NAME, min(_NAME, wanted))
    difference = _DIFFERENCE if any(each.differences for each in metrics) else 0
    count = max(1, len(models))
    for ends in (_ENDS, 0):
        room = (width - name - difference - 2) // count - 2 - _VALUE - (ends + 1 if ends else 0)
        if room > _LEAST_BAR or (not ends and room >= 0):
            bar = min(_BAR, room - 1) if room > _LEAST_BAR else 0
            return Columns(models, name, ends, bar, difference)
    most = max(1, (width - _LEAST_NAME - difference - 2) // (2 + _VALUE))
    return Columns(models[:most], _LEAST_NAME, 0, 0, difference)


def head(shape: Columns, width: int) -> Row:
    """Return the row with the names of the models."""
    row: Row = [(" " * shape.name, "ink")]
    for model in shape.models:
        role = "accent b" if model.role == "tuned" else "strong b"
        # The name begins where its numbers do.
        text = cut(clean_line(model.key), shape.each - 2)
        row += R("ink", "  ", role, f"{text:>{_VALUE}}" if cells(text) <= _VALUE else text)
        row.append((" " * max(0, shape.each - 2 - max(_VALUE, cells(text))), "ink"))
    row += R("quiet", "  difference") if shape.difference else []
    return fit(row, width)


def metric_row(metric: Metric, shape: Columns, subject: str, width: int, *, here: bool) -> Row:
    """Return the row of a figure; the difference is that of the subject, or of the first model that has one."""
    title = cut(clean_line(metric.title), shape.name - 3)
    name = title + " " * (shape.name - 2 - cells(title))
    row = R("strong b" if here else "ink", name, "faint", f"{_ARROWS[metric.better]} ")
    axis = _axis(metric)
    for model in shape.models:
        row += [("  ", "ink"), *_cell(metric, model, shape, axis)]
    if shape.difference:
        found = metric.differences.get(subject) or next(iter(metric.differences.values()), None)
        row += [("  ", "ink"), *_difference(found, metric.unit)]
    row = fit(row, width)
    return grounded(row, "sel") if here else row


def _cell(metric: Metric, model: Model, shape: Columns, axis: tuple[float, float] | None) -> Row:
    found = metric.values.get(model.key)
    rest = shape.each - 2 - _VALUE
    if found is None:
        return R("faint", f"{'-':>{_VALUE}}{' ' * rest}")
    role = _ROLES[model.role]
    row = R("strong b" if model.role == "tuned" else "ink", f"{number(found.value, metric.unit):>{_VALUE}}")
    row += R("quiet", f" {ends(found, metric.unit):<{shape.ends}}") if shape.ends else []
    return [*row, *(R("ink", " ", role, bar(found, axis, shape.bar)) if shape.bar else [])]


def _difference(found: Difference | None, unit: str) -> Row:
    if found is None:
        return []
    mark, role, word = VERDICTS[found.verdict]
    # Without an interval nothing was compared: that is not the same as unclear.
    return R("ink", f"{signed(found.value, unit):>7} ", role, f"{mark} {word}" if found.low is not None else "")


def number(value: float, unit: str) -> str:
    """Return a value of a figure in at most seven cells."""
    return f"{_plain(value, unit)}{'%' if unit == '%' and math.isfinite(value) else ''}"


def signed(value: float, unit: str) -> str:
    """Return a difference with its sign; of shares in points."""
    text = _plain(value, unit)
    return text if text.startswith("-") or not math.isfinite(value) else f"+{text}"


def ends(found: Estimate | Difference, unit: str, *, sign: bool = False) -> str:
    """Return the interval in words; nothing where there is none."""
    if found.low is None or found.high is None:
        return ""
    word = signed if sign else _plain
    return f"{word(found.low, unit)} to {word(found.high, unit)}"


def _plain(value: float, unit: str) -> str:
    if unit == "%" and math.isfinite(value):
        return f"{value:.1f}"
    return fixed(value, 3 if abs(value) < 10 else 2)


def _axis(metric: Metric) -> tuple[float, float] | None:
    """Return the least and the greatest number that any interval of the figure holds."""
    found = [value for each in metric.values.values() for value in (each.low, each.value, each.high)
             if value is not None and math.isfinite(value)]  # fmt: skip
    return (min(found), max(found)) if found else None


def bar(found: Estimate, axis: tuple[float, float] | None, width: int) -> str:
    """Return an interval on an axis that all models share, so that it can be seen whether two of them overlap."""
    if axis is None or not math.isfinite(found.value):
        return " " * width
    low, high = axis

    def at(value: float | None) -> int:
        value = found.value if value is None or not math.isfinite(value) else value
        return round((value - low) / (high - low) * (width - 1)) if high > low else width // 2

    signs = [" "] * width
    first, last = at(found.low), at(found.high)
    if found.low is not None and found.high is not None:
        signs[first : last + 1] = ["├", *["─"] * (last - first - 1), "┤"][: last - first + 1]
    signs[at(found.value)] = "●"
    return "".join(signs)


def of_task(group: str, data: Data | None = None) -> str:
    """Return the title of a group of figures; data: the rows that were measured."""
    if group != DATA:
        return clean_line(group)
    held = data is not None and data.kind == "held_out"
    return "Held-out data" if held or data is None else f"Rows of {clean_line(data.name)}"


def told(metric: Metric, width: int) -> Iterator[Row]:
    """Yield every number of a figure, a model a line."""
    for key, value in metric.values.items():
        row = R("ink", f"{clean_line(key):<12} ", "strong b", f"{number(value.value, metric.unit):>7}")
        row += R("quiet", f"  {ends(value, metric.unit):<18} {value.n:,} rows")
        found = metric.differences.get(key)
        if found is not None:
            mark, role, word = VERDICTS[found.verdict]
            against = f"  {signed(found.value, metric.unit)} against {clean_line(found.against)}"
            said = R("ink", against, "quiet", f" ({ends(found, metric.unit, sign=True)})", role, f" {mark} {word}")
            if found.low is None:
                said = R("ink", against, "quiet", " (too few rows for an interval)")
            if width_of(row) + width_of(said) > width:
                yield row
                row = R("ink", " " * _INDENT)
            row += said
        yield row
