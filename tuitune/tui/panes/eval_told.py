"""What stands around the table of results: what it comes to, the chosen figure in words, and the notes."""

from __future__ import annotations

from tuitune.run.evaluation import Evaluation, Metric
from tuitune.run.reached import Reached
from tuitune.text import clean, clean_line
from tuitune.tui.evaluating import Found
from tuitune.tui.kit.rows import R, Row, fit
from tuitune.tui.kit.wrapping import wrapped
from tuitune.tui.panes.eval_table import told

DETAILS = 12  # rows of the body from which on the chosen figure is explained
_ROOMY = 22  # rows of the body from which on notes take several lines
_NOTES = 3
_LEAST = 6  # rows of the body below which only the table shows, and how far the work is


def above_table(shown: Found, width: int, height: int) -> list[Row]:
    """Return how far it is, what it comes to, and why figures say little where the rows were learnt from."""
    found = shown.evaluation
    at_work = [_reached(shown.reached, width)] if shown.reached is not None else []
    learnt = _caveat(found) if height >= DETAILS else ""
    plain = [clean(found.data.words)] if found.data and not learnt else []
    said = [clean(each) for each in found.sentences] or plain
    rows = [R("ink", line) for text in said for line in wrapped(text, width)][: max(1, height // 5)]
    caveat = wrapped(clean_line(learnt), width - 2) if learnt else []
    rows += [R("warn", "  " if n else "▲ ", "ink", line) for n, line in enumerate(caveat)]
    rows = [*at_work, *rows] if height >= _LEAST else at_work
    return [*rows, []] if rows and height >= DETAILS else rows


def _reached(reached: Reached, width: int) -> Row:
    """Return how far a command is that nobody here has begun."""
    count = f" {reached.done:,} of {reached.total:,}" if reached.total else ""
    within = f"  {clean_line(reached.within)}" if reached.within else ""
    said = R("accent", "● ", "ink", clean_line(reached.stage), "strong b", count, "quiet", within)
    return fit(said, width)


def below_table(found: Evaluation, metric: Metric | None, width: int, height: int) -> list[Row]:
    """Return the chosen figure in words, and the notes of the evaluation; nothing where there is no room."""
    rows: list[Row] = []
    if height < DETAILS:
        return rows
    most = 3 if height >= _ROOMY else 1
    if metric is not None:
        about = f"{metric.title}: {metric.how}" if metric.how else metric.title
        rows += [R("quiet", line) for line in wrapped(clean(about), width)][:2]
        rows += list(told(metric, width))
    for note in [note for note in found.notes if note != _caveat(found)][:_NOTES]:
        lines = wrapped(clean_line(note), width - 2) if most > 1 else [clean_line(note)]
        rows += [R("warn", "  " if n else "▲ ", "quiet", line) for n, line in enumerate(lines[:most])]
    return rows


def _caveat(found: Evaluation) -> str:
    """Return why figures say little where the rows were learnt from: nothing else may be read without it."""
    if found.data is None or found.data.kind != "trained_on":
        return ""
    said = found.data.words
    return next((note for note in found.notes if note.partition("; ")[0] in said), said)
