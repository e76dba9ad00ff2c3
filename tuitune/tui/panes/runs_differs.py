"""The Differs pane: what differs between the recipes of runs, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import BindingType
from textual.events import MouseScrollDown, MouseScrollUp

from tuitune.face import words
from tuitune.face.difference import Differences, Differing
from tuitune.face.runs import best_evaluation, key_figure
from tuitune.run.shelf import Entry
from tuitune.text import clean_line
from tuitune.tui.kit.bound import bound
from tuitune.tui.kit.pane import DrawnPane
from tuitune.tui.kit.rows import R, Row, cells, cut
from tuitune.tui.kit.units import amount, fixed
from tuitune.tui.kit.wrapping import wrapped
from tuitune.tui.panes.runs_columns import COLOURS, LETTERS, listed, placed

_LEAST, _WISHED = 7, 9  # cells of a column of values
_NAME = 14  # cells of the names, at least
_KEYS = (
    ("up,k", "scroll(-1)", "Up", "differs.up", "a line up"),
    ("down,j", "scroll(1)", "Down", "differs.down", "a line down"),
    ("left,h", "turn(-1)", "Runs before", "differs.left", "the columns of the runs before"),
    ("right", "turn(1)", "Runs after", "differs.right", "the columns of the runs after"),
    ("pageup", "scroll(-12)", "Page up", "differs.pageup", "a page up"),
    ("pagedown,space", "scroll(12)", "Page down", "differs.pagedown", "a page down"),
)


@dataclass(frozen=True)
class Compared:
    """Runs beside each other: their entries, their numbers among the marked ones, what differs between them."""

    entries: tuple[Entry, ...]
    numbers: tuple[int, ...]
    found: Differences


class DiffersPane(DrawnPane):
    """Keys that differ, a column for each run."""

    label = "What differs"
    digit = "3"
    HELP = """
# What differs

The keys in which the recipes of the marked runs differ, or of one marked run and the one under the cursor; one column
for each. Bold: asked for in the recipe; plain: a default, or what the run chose by itself. Above: what came of it.
**left** and **right** go to the runs whose columns have no room.
"""
    BINDINGS: ClassVar[list[BindingType]] = bound(_KEYS)

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._compared: Compared | None = None
        self._top = self._first = 0

    def show(self, compared: Compared | None) -> None:
        """Show what differs, or how to have something compared."""
        if compared == self._compared:
            return
        if _paths(compared) != _paths(self._compared):
            self._top = self._first = 0
        self._compared = compared
        self.redraw()

    def is_older(self, entries: Iterable[Entry]) -> bool:
        """Tell whether one of the runs that are compared has changed, by the entries as they are now."""
        now = {entry.path: entry for entry in entries}
        shown = self._compared.entries if self._compared is not None else ()
        return any(now.get(entry.path, entry) != entry for entry in shown)

    @property
    def meta(self) -> Row:
        """How many keys differ."""
        found = self._compared
        return R("quiet", f"{len(found.found.keys)} keys, {found.found.same} the same") if found is not None else []

    def body(self, width: int, height: int) -> list[Row]:
        """Return names, figures, keys."""
        found = self._compared
        if found is None:
            return [R("quiet", line) for line in wrapped(_HOW, width)]
        table = _Table(found, width, self._first)
        self._first = table.first
        head = [*table.names(), table.letters()]
        rows = [*table.figures(), [], *table.keys(), *table.notes()]
        room = max(1, height - len(head))
        self._top = max(0, min(self._top, len(rows) - room))
        seen = rows[self._top : self._top + room]
        if self._top + room < len(rows) and seen:
            seen[-1] = R("faint", f"{len(rows) - self._top - room + 1} more below")
        return [*head, *seen]

    def action_scroll(self, by: int) -> None:
        """Go up or down."""
        self._top = max(0, self._top + by)
        self.redraw()

    def action_turn(self, by: int) -> None:
        """Go to the columns of other runs."""
        self._first = max(0, self._first + by)
        self.redraw()

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Go down."""
        event.stop()
        self.action_scroll(1)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Go up."""
        event.stop()
        self.action_scroll(-1)


def _paths(compared: Compared | None) -> tuple[str, ...]:
    return tuple(entry.path for entry in compared.entries) if compared is not None else ()


_HOW = "space marks runs in the list; with two or more, the keys in which their recipes differ stand here, side by side"


class _Table:
    """The rows of a comparison in so many cells, from the run number `first` on as far as columns have room."""

    def __init__(self, compared: Compared, width: int, first: int = 0) -> None:
        self._all, self._found, self.width = compared, compared.found, width
        longest = max((cells(key.key) for key in self._found.keys), default=12)
        self.columns = max(1, min(len(compared.entries), (width - _NAME) // (_LEAST + 1)))
        self.name = max(_NAME, min(longest, width - self.columns * (_WISHED + 1)))
        self.size = (width - self.name) // self.columns - 1
        self.first = max(0, min(first, len(compared.entries) - self.columns))
        self._seen = slice(self.first, self.first + self.columns)

    def names(self) -> list[Row]:
        """Return the runs with their letters."""
        pairs = list(zip(self._all.entries, self._all.numbers, strict=True))
        rows = [R(f"{COLOURS[n]} b", f"{LETTERS[n]} ", "ink", listed(entry.run.name, self.width - 2))
                for entry, n in pairs[self._seen]]  # fmt: skip
        before, after = self.first, len(pairs) - self.first - self.columns
        more = [f"← {before} more"] * bool(before) + [f"{after} more →"] * bool(after)
        return [*rows, *([R("faint", "   ".join(more))] if more else [])]

    def letters(self) -> Row:
        """Return the heads of the columns."""
        return self._row("", [(LETTERS[n], f"{COLOURS[n]} b") for n in self._all.numbers])

    def _row(self, name: str, values: Sequence[tuple[str, str]]) -> Row:
        row = placed(R("quiet", name), self.name, right=False)
        for text, role in values[self._seen]:
            row += [(" ", "ink"), *placed(R(role, text), self.size, right=False)]
        return row

    def figures(self) -> list[Row]:
        """Return what came of the runs; the best one of each row stands out."""
        rows = []
        for name, values, better in _figures(self._all.entries):
            known = [value for value in values if value is not None]
            if not known:
                continue
            best = better(known) if better is not None and len(set(known)) > 1 else None
            shown = [("" if value is None else _FORMS[name](value), "ink" if value != best else "strong b")
                     for value in values]  # fmt: skip
            rows.append(self._row(name, shown))
        return rows

    def keys(self) -> list[Row]:
        """Return the keys that differ: those that were asked for, then defaults, then what the runs chose."""
        rows = [row for each in self._found.keys if not each.plan for row in self._key(each)]
        plan = [row for each in self._found.keys if each.plan for row in self._key(each)]
        rows = rows or [R("quiet", "the recipes are the same")]
        return [*rows, [], R("faint", "chosen by the runs themselves"), *plan] if plan else rows

    def _key(self, each: Differing) -> list[Row]:
        values = [(clean_line(value) or "·", "strong b" if asked else "ink")
                  for value, asked in zip(each.values, each.asked, strict=True)][self._seen]  # fmt: skip
        if cells(each.key) <= self.name and all(cells(value) <= self.size for value, _ in values):
            return [self._row(each.key, values)]
        # What finds no room beside each other stands below each other.
        below = [R(COLOURS[n], f"  {LETTERS[n]} ", role, cut(value, self.width - 4))
                 for (value, role), n in zip(values, self._all.numbers[self._seen], strict=True)]  # fmt: skip
        return [R("quiet", each.key), *below]

    def notes(self) -> list[Row]:
        """Return what could not be compared."""
        return [R("warn", line) for note in self._found.notes for line in wrapped(clean_line(note), self.width)]


Best = Callable[[Sequence[float]], float]
_FORMS: Mapping[str, Callable[[float], str]] = {
    "last": fixed, "best eval": fixed, "tokens": amount, "duration": words.duration,
    "attempts": "{:.0f}".format, "tok/s": lambda value: f"{value:,.0f}", "peak": words.size,
}  # fmt: skip


def _figures(entries: Sequence[Entry]) -> Iterator[tuple[str, list[float | None], Best | None]]:
    main = {key_figure(entry)[0] for entry in entries}
    least: Best | None = min if main == {"loss"} else max if len(main) == 1 else None
    best = [best_evaluation(entry) for entry in entries]
    yield "last", [key_figure(entry)[1] for entry in entries], least
    yield "best eval", [each[0] if each is not None else None for each in best], least
    yield "tokens", [entry.facts.tokens or None for entry in entries], None
    yield "duration", [entry.lasted or None for entry in entries], None
    if any(entry.facts.attempts > 1 for entry in entries):
        yield "attempts", [entry.facts.attempts or None for entry in entries], None
    yield "tok/s", [entry.facts.speed or None for entry in entries], max
    yield "peak", [entry.facts.memory for entry in entries], min
