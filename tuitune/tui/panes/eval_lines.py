"""What the Results pane lists: the figures of each group, and of benchmarks the subjects."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tuitune.run.evaluation import Metric
from tuitune.tui.evaluating import Found
from tuitune.tui.panes.eval_table import of_task

_FEW = 8  # subjects that show without being asked for


@dataclass(frozen=True, slots=True)
class Line:
    """A figure, or the title of a group of them."""

    title: str = ""
    metric: Metric | None = None


def few_subjects(found: Found | None) -> bool:
    """Tell whether there are so few subjects that they show without being asked for."""
    return found is None or sum(map(len, found.subjects.values())) <= _FEW


def lines_of(found: Found, *, subjects: bool) -> Iterator[Line]:
    """Yield the lines; subjects: whether benchmarks are listed by subject."""
    groups = list(dict.fromkeys(metric.group for metric in found.evaluation.metrics))
    for group in groups:
        if len(groups) > 1:
            yield Line(of_task(group, found.evaluation.data))
        yield from (Line(metric=each) for each in found.main(group))
        single = found.subjects.get(group, ())
        if subjects:
            yield from (Line(metric=each) for each in single)
        elif single:
            yield Line(f"{len(single)} subjects: b shows them")
