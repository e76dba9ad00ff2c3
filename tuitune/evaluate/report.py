"""An evaluation in words: its table, what is clear and what is not, and results.md."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import datetime

from tuitune.run.evaluation import DATA, Difference, Estimate, Evaluation, Metric, Verdict
from tuitune.text import clean_line

_FEW = 20  # rows below which intervals are rough


def figure(value: float, decimals: int | None = None) -> str:
    """Return a number; where nothing is said of decimals, with three digits that tell."""
    if not math.isfinite(value):
        return "nan" if math.isnan(value) else "inf" if value > 0 else "-inf"
    size = abs(value)
    if size >= 1e5 or 0 < size < 1e-4:
        return f"{value:.2e}"
    least = 1 if size >= 10 else 2 if size >= 1 else 3
    said = f"{value:.{least if decimals is None else decimals}f}"
    return said.removeprefix("-") if float(said) == 0 else said


def with_interval(found: Estimate | Difference) -> str:
    """Return a figure and its interval in brackets, where it is known; with the digits that the interval allows."""
    low, high = found.low, found.high
    if low is None or high is None:
        return figure(found.value)
    decimals = _decimals(found.value, high - low)
    if isinstance(found, Difference) and low * high > 0:
        # A limit that reads 0.00 would contradict that the difference is clear.
        decimals = max(decimals, min(6, math.ceil(-math.log10(min(abs(low), abs(high))))))
    return f"{figure(found.value, decimals)} [{figure(low, decimals)}, {figure(high, decimals)}]"


def _decimals(value: float, width: float) -> int:
    least = 1 if abs(value) >= 10 else 2
    if not 0 < width < math.inf:
        return least + 1
    return min(4, max(least, math.ceil(-math.log10(width / 2))))


def signed(found: Difference) -> str:
    """Return a difference with its sign, and its interval."""
    said = with_interval(found)
    return f"+{said}" if found.value > 0 else said


def name_of(metric: Metric) -> str:
    """Return the title of a figure with its unit."""
    return f"{metric.title} %" if metric.unit == "%" else metric.title


def headings(found: Evaluation) -> list[str]:
    """Return the heads of the table's columns."""
    differences = [key for key in keys(found) if any(key in metric.differences for metric in found.metrics)]
    return ["", *keys(found), *(f"{key} - {against_of(found, key)}" for key in differences)]


def keys(found: Evaluation) -> list[str]:
    """Return the keys of the models, in their order."""
    return [model.key for model in found.models]


def against_of(found: Evaluation, key: str) -> str:
    """Return with whom a model is compared."""
    return next(metric.differences[key].against for metric in found.metrics if key in metric.differences)


def rows(found: Evaluation, group: str, *, intervals: bool = True) -> list[list[str]]:
    """Return the rows of the table for one group, as in `headings`."""
    differences = [key for key in keys(found) if any(key in metric.differences for metric in found.metrics)]
    made = []
    for metric in found.metrics:
        if metric.group == group:
            cells = [_cell(metric.values.get(key), intervals) for key in keys(found)]
            made.append([name_of(metric), *cells, *(_change(metric, key, intervals) for key in differences)])
    return made


def _cell(value: Estimate | None, intervals: bool) -> str:
    if value is None:
        return "-"
    return with_interval(value) if intervals else figure(value.value)


def _change(metric: Metric, key: str, intervals: bool) -> str:
    found = metric.differences.get(key)
    if found is None:
        return "-"
    return signed(found) if intervals else f"{'+' if found.value > 0 else ''}{figure(found.value)}"


def groups(found: Evaluation) -> list[str]:
    """Return the groups of figures in their order."""
    return list(dict.fromkeys(metric.group for metric in found.metrics))


def has_intervals(found: Evaluation) -> bool:
    """Tell whether any figure has an interval."""
    return any(value.low is not None for metric in found.metrics for value in metric.values.values())


# What it comes to


def sentences(found: Evaluation) -> tuple[str, ...]:
    """Return what is clear and what is not, a sentence for each model and verdict."""
    made: list[str] = []
    for group in groups(found):
        metrics = [metric for metric in found.metrics if metric.group == group]
        where = "" if group == DATA else f"{group}: "
        for key in keys(found):
            made += [where + said for said in _of_model(key, metrics)]
    if found.data is not None and 0 < found.data.rows < _FEW:
        rows = found.data.rows
        what = "the intervals are rough" if has_intervals(found) else "too few for intervals"
        made.append(f"There are only {rows} rows: {what}." if rows > 1 else f"There is only one row: {what}.")
    return tuple(made)


def _of_model(key: str, metrics: Sequence[Metric]) -> list[str]:
    sorts: dict[Verdict, list[str]] = {"better": [], "worse": [], "unclear": []}
    other = ""
    for metric in metrics:
        found = metric.differences.get(key)
        if found is not None and found.low is not None and metric.better and found.verdict in sorts:
            other = found.against
            sorts[found.verdict].append(metric.title)
    words = {
        "better": f"{key} is clearly better than {other} in",
        "worse": f"{key} is clearly worse than {other} in",
        "unclear": f"No clear difference between {key} and {other} in",
    }
    return [f"{words[verdict]} {listed(names)}." for verdict, names in sorts.items() if names]


def listed(names: Sequence[str]) -> str:
    """Return names as a sentence lists them; beyond eight, how many more."""
    shown = [*names[:8], f"{len(names) - 8} more"] if len(names) > 9 else list(names)
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


# results.md


def markdown(found: Evaluation) -> str:
    """Return the report as Markdown; foreign text in it is cleaned and quoted."""
    lines = [f"# Evaluation of {_plain(found.subject)}", ""]
    lines += [f"{datetime.fromtimestamp(found.created).astimezone():%Y-%m-%d %H:%M %Z}, {found.seconds:.0f} s", ""]
    lines += [f"- `{model.key}`: {_plain(model.title)}" for model in found.models]
    if found.data is not None:
        lines += [f"- data: {_plain(found.data.words)}"]
    for group in groups(found):
        lines += ["", f"## {'Held-out data' if group == DATA and _held(found) else _plain(group)}", ""]
        heads = headings(found)
        lines += [f"| {' | '.join(heads)} |", f"|{'|'.join(['---', *['---:'] * (len(heads) - 1)])}|"]
        lines += [f"| {' | '.join(map(_plain, row))} |" for row in rows(found, group)]
    lines += ["", *found.sentences, ""]
    if has_intervals(found):
        lines += ["Brackets hold 95 % intervals.", ""]
        if any(metric.differences for metric in found.metrics):
            lines[-1:] = ["A difference is clear where its interval, taken row by row, leaves zero out.", ""]
    lines += [f"- {name_of(metric)}: {_plain(metric.how)}" for metric in found.metrics if metric.group == DATA]
    lines += ["", *(f"> {_plain(note)}" for note in found.notes)] if found.notes else []
    return "\n".join(lines) + "\n"


def _held(found: Evaluation) -> bool:
    return found.data is not None and found.data.kind == "held_out"


def _plain(text: str) -> str:
    return re.sub(r"([\\`*_{}<>|#])", r"\\\1", clean_line(text))
