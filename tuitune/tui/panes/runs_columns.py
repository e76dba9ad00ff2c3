"""The columns of the list of runs: what stands in each, and which of them fit."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tuitune.face import curve, figures
from tuitune.face.runs import best_evaluation, key_figure, last_evaluation
from tuitune.run.shelf import Entry
from tuitune.text import clean_line
from tuitune.tui.kit.rows import R, Row, cells, cut
from tuitune.tui.kit.units import amount, fixed, lasting

_GAP = 2
MARKS = 4  # cells before the first column: cursor, letter, colour
_TELLING = 6  # cells below which what follows a time stamp tells nothing
_STAMP = re.compile(r"20\d{6}-\d{6}-")
_STATES = {
    "running": "accent", "starting": "accent", "stopping": "warn", "paused": "warn", "crashed": "error",
    "failed": "error", "stopped": "warn",
}  # fmt: skip
# Eight curves that can be told apart; each has a letter too.
COLOURS = ("accent", "eval", "activ", "weights", "logits", "ok", "optim", "runtime")
LETTERS = curve.LETTERS


@dataclass(frozen=True, slots=True)
class Column:
    """A column: the order it stands for, its title, its cells (0: what is left), from which width on it shows."""

    order: str
    title: str
    size: int
    row: Callable[[Entry], Row]
    since: int = 0
    right: bool = False


def listed(name: str, size: int) -> str:
    """Return a run's name in at most so many cells, of a time stamp that has no room only what tells most."""
    text = clean_line(name)
    if cells(text) > size and (stamp := _STAMP.match(text)):
        day = f"{text[4:8]}-{text[9:13]}"
        if len(day) <= size < len(day) + _TELLING:
            return day
        text = f"{day}-{text[stamp.end() :]}"
    return cut(text, size)


def value(found: float | None) -> str:
    """Return a figure in at most seven cells."""
    return "" if found is None else fixed(found)


def _figure(entry: Entry) -> Row:
    name, found = key_figure(entry)
    role = "error b" if found is not None and not math.isfinite(found) else "strong"
    # What is no loss says so: the two must not be compared.
    mark = R("quiet", f"{figures.label(name)[:1]} ") if name != figures.LOSS and found is not None else []
    return [*mark, *R(role, value(found))]


def _best(entry: Entry) -> Row:
    best = best_evaluation(entry)
    return R("ink", value(best[0] if best is not None else last_evaluation(entry)))


def _steps(entry: Entry) -> Row:
    total = f"/{entry.total_steps}" if entry.total_steps else ""
    return R("quiet", f"{entry.step}{total}" if entry.step or total else "")


def _method(entry: Entry) -> Row:
    return R("ink", clean_line("/".join(part for part in (entry.facts.stage, entry.facts.method) if part)))


def _state(entry: Entry) -> Row:
    word = "imported" if entry.imported and entry.status == "finished" else str(entry.status)
    return R(_STATES.get(entry.status, "quiet"), word)


def _lasted(entry: Entry) -> Row:
    return R("quiet", lasting(entry.lasted) if entry.facts.first is not None and entry.lasted is not None else "")


def _tokens(entry: Entry) -> Row:
    return R("quiet", amount(entry.facts.tokens) if entry.facts.tokens else "")


def _speed(entry: Entry) -> Row:
    return R("quiet", f"{entry.facts.speed:,.0f}" if entry.facts.speed else "")


def _model(entry: Entry) -> Row:
    return R("quiet", clean_line(entry.facts.model).rstrip("/").rpartition("/")[2])


def _remarks(entry: Entry) -> Row:
    tags = " ".join(clean_line(tag) for tag in entry.remarks.tags)
    note = clean_line(entry.remarks.note)
    return R("accent", f"{tags}  " if tags and note else tags, "faint", note)


COLUMNS = (
    Column("name", "run", 0, lambda entry: R("ink", clean_line(entry.run.name))),
    Column("model", "model", 14, _model, since=144),
    Column("method", "method", 11, _method, since=96),
    Column("data", "data", 14, lambda entry: R("quiet", clean_line(entry.data)), since=108),
    Column("steps", "steps", 10, _steps, right=True),
    Column("loss", "loss", 7, _figure, right=True),
    Column("eval", "eval", 6, _best, since=64, right=True),
    Column("tokens", "tokens", 6, _tokens, since=156, right=True),
    Column("speed", "tok/s", 7, _speed, since=172, right=True),
    Column("time", "time", 9, _lasted, since=88, right=True),
    Column("state", "state", 9, _state),
    Column("tags", "tags, note", 15, _remarks, since=118),
)  # fmt: skip


def fitting(width: int) -> list[tuple[Column, int]]:
    """Return the columns that show in so many cells, each with its own."""
    kept = [column for column in COLUMNS if width >= column.since]
    rest = width - MARKS - sum(column.size + _GAP for column in kept if column.size)
    wide = max(14, min(rest, 46))
    last = max(0, rest - wide)  # what a long name does not need goes to the notes
    return [(column, wide if not column.size else column.size + (last if column.order == "tags" else 0))
            for column in kept]  # fmt: skip


def laid_out(cells_of: Sequence[tuple[Column, int, Row]]) -> Row:
    """Return the cells of one line beside each other."""
    row: Row = []
    for n, (column, size, text) in enumerate(cells_of):
        row += [*([(" " * _GAP, "ink")] if n else []), *placed(text, size, right=column.right)]
    return row


def placed(text: Row, size: int, *, right: bool) -> Row:
    """Return a cell in exactly so many cells; text gives way from the end."""
    out: Row = []
    room = size
    for part, role in text:
        part = cut(part, room)
        out.append((part, role))
        room -= cells(part)
    blank = [(" " * room, "ink")] if room > 0 else []
    return [*blank, *out] if right else [*out, *blank]
