"""What a model card says of an evaluation: a table for people, and the form that hubs show beside the card."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

from tuitune.errors import TuiTuneError
from tuitune.export import cardfacts
from tuitune.export.markdown import code, escaped, table
from tuitune.run.evaluation import DATA, Evaluation, Metric
from tuitune.run.evaluations import read

if TYPE_CHECKING:
    from tuitune.export.about import About


def newest(about: About) -> Evaluation | None:
    """Return the newest evaluation of these weights that is done: one beside the base if there is any."""
    done: list[Evaluation] = []
    for path in about.evaluations:
        with contextlib.suppress(TuiTuneError):
            found = read(path.parent)
            if found.status == "done" and _tuned(found) is not None:
                done.append(found)
    return next((found for found in done if _compared(found)), done[0] if done else None)


def _compared(found: Evaluation) -> bool:
    return any(metric.differences for metric in found.metrics)


def _tuned(found: Evaluation) -> str | None:
    return next((model.key for model in found.models if model.role == "tuned"), None)


def index(about: About, found: Evaluation | None) -> list[dict[str, Any]]:
    """Return the results in the form that hubs read."""
    key = _tuned(found) if found else None
    if found is None or key is None:
        return []
    results = []
    for group in dict.fromkeys(metric.group for metric in found.metrics):
        metrics = [
            {"type": metric.key, "name": cardfacts.line(metric.title), "value": round(metric.values[key].value, 6)}
            for metric in found.metrics
            if metric.group == group and key in metric.values and math.isfinite(metric.values[key].value)
        ]
        name = _rows_of(found) if group == DATA else cardfacts.line(group)
        if metrics:
            results.append(
                {
                    "task": {"type": "text-generation"},
                    "dataset": {"name": name, "type": name.split(",")[0]},
                    "metrics": metrics,
                }
            )
    return [{"name": cardfacts.line(about.out.name), "results": results}] if results else []


def _rows_of(found: Evaluation) -> str:
    """Return what the figures are of, for a place with no room for a warning."""
    if found.data is None:
        return DATA
    name = cardfacts.data_name(found.data.name)
    return f"{name}, rows that it was trained on" if found.data.kind == "trained_on" else name


def section(found: Evaluation | None) -> str:
    """Return the section with the table, "" where there was no evaluation."""
    if found is None:
        return ""
    shown = [model for model in found.models if model.role in ("tuned", "base")]
    compared = _compared(found)
    heads = ("", *(f"{model.role}" for model in shown), *(["difference"] if compared else []))
    rows = [
        (
            escaped(metric.title), *(_estimate(metric, model.key) for model in shown),
            *([_difference(metric, found)] if compared else []),
        )
        for metric in found.metrics
    ]  # fmt: skip
    data = found.data
    how = {"held_out": ", held out of the training", "trained_on": "", "given": ""}
    rows_of = (
        f"{data.rows} of {data.of} rows of {code(cardfacts.data_name(data.name))}{how[data.kind]}." if data else ""
    )
    words = [rows_of] if data else []
    if data is not None and data.kind == "trained_on":
        words.append("**The model was trained on these rows: the figures say how well it learned them, not more.**")
    words.append("Between brackets: 95 % intervals.")
    if compared:
        words.append("A difference is called better or worse where its own excludes 0.")
    return "\n\n".join(["## Evaluation", " ".join(words), table(heads, rows)])


def _estimate(metric: Metric, key: str) -> str:
    value = metric.values.get(key)
    if value is None:
        return "–"
    between = "" if value.low is None or value.high is None else f" [{value.low:.4g}, {value.high:.4g}]"
    unit = f" {escaped(metric.unit)}" if metric.unit else ""
    return f"{value.value:.4g}{unit}{between}"


def _difference(metric: Metric, found: Evaluation) -> str:
    made = metric.differences.get(_tuned(found) or "")
    if made is None:
        return ""
    between = "" if made.low is None or made.high is None else f" [{made.low:+.3g}, {made.high:+.3g}]"
    return f"{made.value:+.3g}{between}, {made.verdict}"
