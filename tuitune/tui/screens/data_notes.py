"""What the data screen says above an example: how far the preparing is, what is wrong, what is odd about it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tuitune.recipe import Recipe
from tuitune.text import clean_line
from tuitune.tui.datalook import DataLook
from tuitune.tui.kit.units import whole_seconds
from tuitune.tui.panes.data_tokens import Note

if TYPE_CHECKING:
    from tuitune.data.look import Look
    from tuitune.data.look_side import Side
    from tuitune.data.report import BadRow

_NAMED = 3  # keys that are told to have changed
_STAGES = {"read": "reading the data sets", "tokenise": "tokenising", "count": "counting"}


def about_work(work: DataLook, recipe: Recipe | None) -> Iterator[Note]:
    """Yield how the preparing stands, and what has changed in the recipe since."""
    if work.busy:
        yield Note(_progress(work))
    elif work.trouble is not None:
        yield Note(work.trouble[0], "error")
        yield Note(work.trouble[1] or "r tries again")
    elif work.look is None:
        yield Note("the recipe has problems; f8 shows them" if recipe is None else "r prepares the data of the recipe")
    changed = work.changed(recipe)
    if changed:
        more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
        yield Note(f"the recipe has changed since: {', '.join(changed[:_NAMED])}{more}; r prepares again", "warn")


def _progress(work: DataLook) -> str:
    words = _STAGES.get(work.stage, clean_line(work.stage))
    of = f" {work.done:,} of {work.total:,}, {100 * work.done // work.total} %" if work.total else ""
    if work.done and not work.total:
        of = f" {work.done:,}"
    return f"preparing: {words}{of}, {whole_seconds(time.monotonic() - work.begun)}; x calls it off"


def about_bad(bad: BadRow | None) -> Iterator[Note]:
    """Yield why a row was left out."""
    if bad is not None:
        yield Note(f"{clean_line(bad.file)}, row {bad.row:,}", "strong b")
        yield Note(f"is left out: {clean_line(bad.reason)}", "warn")


def about_example(look: Look | None, side: Side | None, place: int | None) -> list[Note]:
    """Return what is to be said about an example, and the columns that reward functions see."""
    if look is None or side is None or place is None:
        return []
    from tuitune.data.look_facts import row_words

    words = " · ".join(clean_line(each) for each in row_words(look, side, place))
    columns = [
        Note(f"{clean_line(str(key))}: {clean_line(str(value))}") for key, value in side.view(place).columns.items()
    ]
    return [*([Note(words, "warn")] if words else []), *columns]


def longest(side: Side | None, place: int | None) -> int | None:
    """Return the tokens of the longest sequence of an example."""
    if side is None or place is None:
        return None
    first, last = int(side.examples.starts[place]), int(side.examples.starts[place + 1])
    return int(side.sequences[first:last].max()) if last > first else None
