"""`tuitune evaluate`: models side by side on held-out rows and benchmarks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console

from tuitune.cli.console import say, screen
from tuitune.cli.tables import Column, show
from tuitune.cli.telling import telling
from tuitune.face import words as said
from tuitune.face.host import prepare_for
from tuitune.run import places
from tuitune.run.evaluation import DATA, Evaluation
from tuitune.run.evaluations import REPORT, as_records
from tuitune.run.packing import record

if TYPE_CHECKING:
    from tuitune.face.subject import Words

_GAP = 2


def evaluate(words: Words, *, resume: bool, as_json: bool) -> int:
    """Measure, print the table and say what is clear; return the exit code."""
    before = "cancelled; what was measured before is kept" if resume else "cancelled before anything was measured"
    with telling(places.home() / "evaluate.log", as_json=as_json, cancelled=before) as tell:
        from tuitune.face.evaluating import request_of

        request = request_of(words, tell.note, resume=resume)
        if request.resume is not None and not as_json:
            with tell.aside():
                say(screen(tell.err), f"goes on with {request.resume.name}")
        prepare_for(request.recipe.device, request.recipe.threads)
        from tuitune.evaluate.core import evaluate as work

        line = tell.line if as_json else lambda kind, values: None
        found = work(request, progress=tell.progress, within=tell.within, note=tell.note, line=line)
        if as_json:
            tell.result(result(found))
        else:
            with tell.aside():
                print_results(screen(tell.out), found)
    return 0


def result(found: Evaluation) -> dict[str, object]:
    """Return the last object of --json."""
    return {
        "path": found.path, "sentences": list(found.sentences), "seconds": found.seconds,
        "models": [record(model) for model in found.models], "data": found.data and record(found.data),
        "metrics": as_records(found.metrics),
    }  # fmt: skip


def print_results(console: Console, found: Evaluation) -> None:
    """Print the results for people."""
    from tuitune.evaluate import report

    for model in found.models:
        say(console, f"{model.key}: {model.title}")
    if found.data is not None:
        say(console, f"data: {found.data.words}")
    intervals = report.has_intervals(found) and all(_fits(console, found, group) for group in report.groups(found))
    for group in report.groups(found):
        console.print()
        if group != DATA:
            say(console, group, "bold")
        _table(console, report.headings(found), report.rows(found, group, intervals=intervals))
    console.print()
    for sentence in found.sentences:
        say(console, sentence)
    if report.has_intervals(found) and not intervals:
        say(console, f"The 95 % intervals have no room here: {REPORT} has them.", "dim")
    elif intervals:
        clear = "; a difference is clear where its interval leaves out zero"
        differences = any(metric.differences for metric in found.metrics)
        say(console, f"Brackets: 95 % intervals{clear if differences else ''}.", "dim")
    say(console, f"{found.path} ({said.duration(found.seconds)})")


def _fits(console: Console, found: Evaluation, group: str) -> bool:
    """Tell whether the table has room for intervals: a narrow screen has none, a file has."""
    from tuitune.evaluate import report

    wide = [max(map(len, column)) for column in zip(report.headings(found), *report.rows(found, group), strict=True)]
    return not console.is_terminal or sum(wide) + _GAP * len(wide) <= console.width


def _table(console: Console, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    columns = [Column(head, right=place > 0) for place, head in enumerate(headings)]
    show(console, columns, rows)
