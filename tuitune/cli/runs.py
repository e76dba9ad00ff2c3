"""`tuitune runs`: every run in a line."""

from __future__ import annotations

import difflib
import sys
import time
from collections.abc import Sequence
from typing import get_args

from tuitune.cli import tables
from tuitune.cli.console import json_line, say, screen
from tuitune.errors import UsageError
from tuitune.face import figures, words
from tuitune.face.runs import ORDERS, STATES, Wanted, arranged, key_figure
from tuitune.recipe.fields.method import Stage
from tuitune.run import places
from tuitune.run.packing import record
from tuitune.run.remarks import plain_tag
from tuitune.run.shelf import Entry, Shelf

_STYLES = {"running": "green", "starting": "green", "paused": "yellow", "failed": "red", "crashed": "red"}
_WHOLE = ("eval", "tokens", "time")  # orders by what only whole journals tell
_PATIENCE = 0.5  # seconds that a list may take longer for its column of times


def runs(
    *, tags: Sequence[str], stages: Sequence[str], states: Sequence[str], search: str, sort: str, as_json: bool
) -> int:
    """Print the runs that are wanted, the one last active first unless asked otherwise."""
    wanted = Wanted(tuple(map(plain_tag, tags)), tuple(map(_stage, stages)), tuple(map(_state, states)), search)
    order = _order(sort.removeprefix("-"))
    shelf = Shelf()
    found = shelf.entries()
    if (order in _WHOLE and any(not entry.facts.whole for entry in found)) or (
        as_json and any(entry.lasted is None for entry in found)
    ):
        while shelf.deepen():
            pass
        found = shelf.entries()
    elif any(entry.lasted is None for entry in found) and _read_on(shelf):
        found = shelf.entries()
    listed = arranged(found, wanted, order, turned=sort.startswith("-"))
    if as_json:
        for entry in listed:
            one = entry.summary()
            remarks = {"note": entry.remarks.note, "tags": entry.remarks.tags}
            json_line({**record(one), "resumable": one.resumable, **remarks})
        return 0
    if not listed:
        none = "no run fits" if found else "there are no runs yet; start one: tuitune train RECIPE"
        say(screen(sys.stderr), none)
        return 0
    tables.show(screen(), _columns(), [_row(entry) for entry in listed], style=_style(listed))
    return 0


def _read_on(shelf: Shelf) -> bool:
    """Read long journals whole while it takes no patience; return whether any was. What is read once stays known."""
    began, count = time.monotonic(), 0
    while time.monotonic() - began < _PATIENCE and shelf.deepen():
        count += 1
    return count > 0


def _state(word: str) -> str:
    return one_of((*STATES, "starting", "running", "paused", "stopping"), word, "there is no state")


def _stage(word: str) -> str:
    return one_of(get_args(Stage), word, "there is no stage")


def _order(word: str) -> str:
    return one_of(list(ORDERS), word, "runs cannot be sorted by")


def one_of(known: Sequence[str], word: str, wrong: str) -> str:
    """Return a word that is known. Raises UsageError, which begins with `wrong` and names those that are."""
    if word not in known:
        near = difflib.get_close_matches(word, known, n=1, cutoff=0.7)
        meant = f"did you mean {near[0]}? " if near else ""
        raise UsageError(f"{wrong} {word!r:.60}", f"{meant}one of {', '.join(known)}")
    return word


def _columns() -> list[tables.Column]:
    return [
        tables.Column("run"), tables.Column("state"), tables.Column("step", right=True),
        tables.Column("loss", right=True), tables.Column("time", right=True, importance=3),
        tables.Column("started", importance=3),
        tables.Column("model", importance=2), tables.Column("method", importance=4),
        tables.Column("tags", importance=5), tables.Column("where", importance=1),
    ]  # fmt: skip


def _row(entry: Entry) -> list[str]:
    facts = entry.facts
    steps = f"{entry.step}/{entry.total_steps}" if entry.total_steps else str(entry.step or "")
    home = entry.run.path.parent == places.runs()
    return [
        entry.run.name, entry.status, steps, _figure(entry), _lasted(entry), when(facts.first), facts.model,
        "/".join(part for part in (facts.stage, facts.method) if part), " ".join(entry.remarks.tags),
        "" if home else str(entry.run.path.parent),
    ]  # fmt: skip


def _lasted(entry: Entry) -> str:
    """Return how long all attempts took; "..." for a journal that there was no time to read."""
    if entry.facts.first is None:
        return ""
    return "..." if entry.lasted is None else words.duration(entry.lasted)


def _figure(entry: Entry) -> str:
    """Return the loss, or with its name what counts instead of it."""
    name, value = key_figure(entry)
    if value is None:
        return ""
    return words.number(value) if name == figures.LOSS else f"{figures.word(name)} {words.number(value, '.3g')}"


def _style(listed: Sequence[Entry]) -> tables.Style:
    return lambda row, column: _STYLES.get(listed[row].status, "") if column == 1 else ""


def when(moment: float | None) -> str:
    """Return a time of this place to the minute."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment)) if moment else ""
