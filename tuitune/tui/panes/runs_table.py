"""The list of runs with a cursor, marks and titles that sort; only the rows in view are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.binding import BindingType
from textual.events import Click
from textual.message import Message

from tuitune.run.shelf import Entry
from tuitune.tui.kit.cursor import CursorList, cursor_keys
from tuitune.tui.kit.rows import R, Row
from tuitune.tui.kit.wrapping import wrapped
from tuitune.tui.panes.runs_columns import COLOURS, LETTERS, MARKS, Column, fitting, laid_out, listed

_KEYS = (
    ("enter", "open", "Open", "open", "its curve, log and recipe on the Workbench"),
    ("space", "mark", "Mark", "mark", "draw its curve beside others, or no longer"),
)


class RunTable(CursorList):
    """Runs in lines. The cursor and the marks go with the runs, not with the places."""

    HEAD = 1  # the titles
    BINDINGS: ClassVar[list[BindingType]] = cursor_keys("runlist", "run", _KEYS)

    class Moved(CursorList.Moved):
        """The cursor stands on another run."""

    class Opened(CursorList.Opened):
        """The run is to be opened."""

    class Marked(Message):
        """Other runs are marked."""

    class Sorted(Message):
        """The list is to be sorted by a column."""

        def __init__(self, order: str) -> None:
            super().__init__()
            self.order = order

    def __init__(self) -> None:
        super().__init__()
        self.entries: Sequence[Entry] = ()
        self.marks: list[str] = []  # paths, in the order in which they were marked
        self.order, self.turned = "newest", False
        self.empty = "looking for runs"
        self._path = ""  # of the run under the cursor
        self._columns: list[tuple[Column, int]] = []

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def entry(self) -> Entry | None:
        """The run under the cursor."""
        return self.entries[self.at] if self.at < len(self.entries) else None

    @property
    def letters(self) -> Mapping[str, int]:
        """The number of each marked run that has a colour, by path."""
        return {path: n for n, path in enumerate(self.marks[: len(COLOURS)])}

    def show(self, entries: Sequence[Entry], empty: str) -> None:
        """List runs; the cursor stays on its run where that is listed, else near its place."""
        before = self._path
        self.entries, self.empty = entries, empty
        places = {entry.path: n for n, entry in enumerate(entries)}
        self.at = places.get(before, max(0, min(self.at, len(entries) - 1)))
        if (self.entry.path if self.entry else "") != before:
            self.moved()
        else:
            self.redraw()

    def to_run(self, path: str) -> bool:
        """Put the cursor on a run; return whether it is listed."""
        found = next((n for n, entry in enumerate(self.entries) if entry.path == path), None)
        if found is not None:
            self.go_to(found)
        return found is not None

    def moved(self) -> None:
        """Remember the run under the cursor, and tell."""
        self._path = self.entry.path if self.entry is not None else ""
        super().moved()

    # -- drawing -----------------------------------------------------------------------------------------------

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the titles, and the runs around the cursor."""
        if not self.entries:
            return [R("quiet", line) for line in wrapped(self.empty, width)]
        self._columns = fitting(width)
        letters = self.letters
        return [self._titles(), *(self._line(n, letters, width) for n in self.in_view(height))]

    def _titles(self) -> Row:
        cells = []
        for column, size in self._columns:
            sign = ("▴" if self.turned else "▾") if column.order == self.order else ""
            role = "accent" if sign else "quiet"
            cells.append((column, size, R(role, f"{column.title}{sign}")))
        return [(" " * MARKS, "ink"), *laid_out(cells)]

    def _line(self, number: int, letters: Mapping[str, int], width: int) -> Row:
        entry = self.entries[number]
        cells_of = [
            (column, size, R("ink", listed(entry.run.name, size)) if column.order == "name" else column.row(entry))
            for column, size in self._columns
        ]
        row = self._mark(entry, letters) + laid_out(cells_of)
        return self.pointed(row, number, width, "accent" if self.has_focus else "hair")

    def _mark(self, entry: Entry, letters: Mapping[str, int]) -> Row:
        if (n := letters.get(entry.path)) is not None:
            return R(f"{COLOURS[n]} b", f"{LETTERS[n]}━ ")
        return R("quiet", " ━ ") if entry.path in self.marks else R("ink", "   ")

    # -- what keys and the mouse do ----------------------------------------------------------------------------

    def action_mark(self) -> None:
        """Mark the run or not, and go on to the next."""
        if self.entry is None:
            return
        path = self.entry.path
        if path in self.marks:
            self.marks.remove(path)
        else:
            self.marks.append(path)
        self.post_message(self.Marked())
        self.action_move(1)
        self.redraw()

    def mark_all(self) -> None:
        """Mark all that are listed, or none where any is marked."""
        self.marks = [] if self.marks else [entry.path for entry in self.entries]
        self.post_message(self.Marked())
        self.redraw()

    def click(self, event: Click) -> None:
        """Go to the run under the mouse, mark it where its mark is, open it at the second click; sort at a title."""
        if event.y == 0:
            self._click_title(event.x)
        elif (at := self.line_at(event.y)) is not None:
            again = event.chain >= 2 and at == self.at
            self.go_to(at)
            if event.x < MARKS:
                self.action_mark()
            elif again:
                self.action_open()

    def _click_title(self, x: int) -> None:
        start = MARKS
        for column, size in self._columns:
            if start <= x < start + size:
                self.post_message(self.Sorted(column.order))
                return
            start += size + 2
