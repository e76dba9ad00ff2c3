"""How a job is drawn: its head, the bar of its stage, notes, result, error."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence

from tuitune.run.job import Job, Status
from tuitune.text import clean, clean_line
from tuitune.tui.jobs import Pace
from tuitune.tui.kit.rows import R, Row, cells, cut, slim, split
from tuitune.tui.kit.units import lasting, whole_seconds
from tuitune.tui.kit.wrapping import wrapped

_MARKS: Mapping[Status, tuple[str, str, str]] = {
    "running": ("accent", "●", ""),
    "done": ("ok", "✓", ""),
    "failed": ("error", "▲", "failed"),
    "cancelled": ("warn", "▪", "cancelled"),
    "lost": ("error", "▲", "ended without a word"),
}
_FEW = 2  # notes, and lines of a result, where not all are shown
_LEAST_BAR, _MOST_BAR, _AROUND = 8, 40, 4


def head_row(job: Job, status: Status, ended: float | None, width: int, now: float | None = None) -> Row:
    """Return the first row: mark, title, how it ended, how long it took and how long ago that was."""
    now = time.time() if now is None else now
    role, mark, word = _MARKS[status]
    left = R(role, f"{mark} ", "strong b" if status == "running" else "ink", clean_line(job.title))
    if status == "running":
        return split(left, R("quiet", f" {whole_seconds(now - job.started)}"), width, " ", "ink")
    said = [*R(role, f" {word}"), *R("ink", "  ")] if word else []
    took = "" if ended is None or ended - job.started < 1 else f" {lasting(ended - job.started)},"
    when = f"{took} {_ago(now - ended)}" if ended is not None else ""
    if cells(when) + sum(cells(text) for text, _ in [*left, *said]) > width:
        when = ""
    return split([*left, *said], R("quiet", when), width, " ", "ink")


def _ago(seconds: float) -> str:
    return "just now" if seconds < 60 else f"{lasting(seconds)} ago"


def job_rows(
    job: Job, status: Status, pace: Pace | None, said: Sequence[str], width: int, *, whole: bool, brief: bool,
    doing: Sequence[str] = (),
) -> list[Row]:  # fmt: skip
    """Return the rows below the head: brief gives none, whole gives everything but the log.

    doing: what one at work is doing, where that is no stage of which it tells how far it is.
    """
    if brief and not whole:
        return []
    rows = [R("ink", f"  {line}") for text in doing for line in wrapped(clean(text), width - 2)]
    rows = rows or list(_stage(job, pace, width)) if status == "running" else []
    notes = job.notes if whole else job.notes[-_FEW:]
    for text in said if whole else said[:_FEW]:
        rows += [R("ink", f"  {line}") for line in wrapped(clean(text), width - 2)]
    for text in notes:
        rows += [R("warn" if n == 0 else "quiet", f"{'▲ ' if n == 0 else '  '}", "quiet", line)
                 for n, line in enumerate(wrapped(clean(text), width - 2))]  # fmt: skip
    rows += _error(job, status, width)
    if whole:
        rows += [R("quiet", f"  {line}") for line in wrapped(clean(shlex.join(["tuitune", *job.argv])), width - 2)]
    return rows


def _stage(job: Job, pace: Pace | None, width: int) -> Iterator[Row]:
    if job.progress is None:
        yield R("quiet", "  starting")
        return
    stage, done, total = job.progress
    name = clean_line(stage)
    if not total:
        yield R("quiet", f"  {name}", "ink", f"  {done:,}" if done else "")
        return
    left = pace.left(time.time()) if pace is not None and done < total else None
    counts = f" {done:,} of {total:,}" + (f", {whole_seconds(left)} left" if left is not None else "")
    within = f"  {clean_line(job.within)}" if job.within else ""
    room = width - _AROUND - cells(name) - cells(counts) - cells(within)
    if room >= _LEAST_BAR:
        bar = slim([(float(done), "accent")], float(total), min(_MOST_BAR, room))
        yield [*R("quiet", f"  {name}  "), *bar, *R("ink", counts, "quiet", within)]
        return
    yield R("quiet", f"  {cut(name, max(6, width - cells(counts) - 3))} ", "ink", counts)
    beside = within if width - _AROUND - cells(within) >= _LEAST_BAR else ""
    bar = slim([(float(done), "accent")], float(total), min(_MOST_BAR, width - 2 - cells(beside)))
    yield [("  ", "ink"), *bar, *R("quiet", beside)]


def _error(job: Job, status: Status, width: int) -> list[Row]:
    if status == "lost":
        text = "its process is gone: killed, out of memory, or the machine was restarted; enter shows its last words"
        return [R("quiet", f"  {line}") for line in wrapped(text, width - 2)]
    if job.error is None:
        return []
    if status == "cancelled":
        found = [("quiet", job.error.get(name)) for name in ("message", "hint") if job.error.get(name) != "cancelled"]
        return [R(role, f"  {line}") for role, text in found if text for line in wrapped(clean(str(text)), width - 2)]
    found = [("error", job.error.get("message")), *(("error", each) for each in job.error.get("problems") or ()),
             ("quiet", job.error.get("hint"))]  # fmt: skip
    return [R(role, f"  {line}") for role, text in found if text for line in wrapped(clean(str(text)), width - 2)]
