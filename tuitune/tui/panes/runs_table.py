"""The list of runs with a cursor, marks and titles that sort; only the rows in view are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message

from tuitune.run.shelf import Entry
from tuitune.tui.kit.drawn import Drawn
from tuitune.tui.kit.rows import R, Row, fit, grounded
from tuitune.tui.kit.wrapping import wrapped
from tuitune.tui.panes.runs_columns import COLOURS, LETTERS, MARKS, Column, fitting, laid_out, listed

_END = 1 << 30
_KEYS = (
    ("up,k", "move(-1)", "Up", "runlist.up", "the run above"),
    ("down,j", "move(1)", "Down", "runlist.down", "the run below"),
    ("pageup", "page(-1)", "Page up", "runlist.pageup", "a page up"),
    ("pagedown", "page(1)", "Page down", "runlist.pagedown", "a page down"),
    ("home,g", f"move({-_END})", "First", "runlist.first", "the first run"),
    ("end,G", f"move({_END})", "Last", "runlist.last", "the last run"),
    ("enter", "open", "Open", "runlist.open", "its curve, log and recipe on the Workbench"),
    ("space", "mark", "Mark", "runlist.mark", "draw its curve beside others, or no longer"),
)


class RunTable(Drawn, can_focus=True):
    """Runs in lines. The cursor and the marks go with the runs, not with the places."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key, action, description, show=False, id=name, tooltip=tooltip)
        for key, action, description, name, tooltip in _KEYS
    ]

    class Moved(Message):
        """The cursor stands on another run."""

    class Opened(Message):
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
        self._at = self._top = 0
        self._columns: list[tuple[Column, int]] = []

    @property
    def entry(self) -> Entry | None:
        """The run under the cursor."""
        return self.entries[self._at] if self._at < len(self.entries) else None

    @property
    def letters(self) -> Mapping[str, int]:
        """The number of each marked run that has a colour, by path."""
        return {path: n for n, path in enumerate(self.marks[: len(COLOURS)])}

    def show(self, entries: Sequence[Entry], empty: str) -> None:
        """List runs; the cursor stays on its run where that is listed, else near its place."""
        before = self._path
        self.entries, self.empty = entries, empty
        places = {entry.path: n for n, entry in enumerate(entries)}
        self._at = places.get(before, max(0, min(self._at, len(entries) - 1)))
        self._follow(moved=(self.entry.path if self.entry else "") != before)

    def go_to(self, path: str) -> bool:
        """Put the cursor on a run; return whether it is listed."""
        found = next((n for n, entry in enumerate(self.entries) if entry.path == path), None)
        if found is not None:
            self._at = found
            self._follow(moved=True)
        return found is not None

    def _follow(self, *, moved: bool) -> None:
        self._path = self.entry.path if self.entry is not None else ""
        self.redraw()
        if moved:
            # By itself: Textual lets a message that was made on behalf of a parent go no further than to that parent.
            self.call_later(lambda: self.post_message(self.Moved()))

    # -- drawing -----------------------------------------------------------------------------------------------

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the titles, and the runs around the cursor."""
        if not self.entries:
            return [R("quiet", line) for line in wrapped(self.empty, width)]
        self._columns = fitting(width)
        room = max(1, height - 1)
        count = len(self.entries)
        self._top = max(min(self._top, self._at, count - room), self._at - room + 1, 0)
        letters = self.letters
        lines = [self._line(n, letters, width) for n in range(self._top, min(count, self._top + room))]
        return [self._titles(), *lines]

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
        if number != self._at:
            return [(" ", "ink"), *row]
        row = [(text, "strong b" if role == "ink" else role) for text, role in row]
        return grounded(fit([("▌", "accent" if self.has_focus else "hair"), *row], width), "sel")

    def _mark(self, entry: Entry, letters: Mapping[str, int]) -> Row:
        if (n := letters.get(entry.path)) is not None:
            return R(f"{COLOURS[n]} b", f"{LETTERS[n]}━ ")
        return R("quiet", " ━ ") if entry.path in self.marks else R("ink", "   ")

    # -- what keys and the mouse do ----------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """Move the cursor by so many runs."""
        to = max(0, min(len(self.entries) - 1, self._at + by))
        if to != self._at:
            self._at = to
            self._follow(moved=True)

    def action_page(self, by: int) -> None:
        """Move the cursor by so many pages."""
        self.action_move(by * max(1, self.content_size.height - 2))

    def action_open(self) -> None:
        """Ask for the run to be opened."""
        if self.entry is not None:
            self.post_message(self.Opened())

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

    def on_click(self, event: Click) -> None:
        """Go to the run under the mouse, mark it where its mark is, open it at the second click; sort at a title."""
        if event.y == 0:
            self._click_title(event.x)
            return
        at = self._top + event.y - 1
        if at >= len(self.entries):
            return
        again = event.chain >= 2 and at == self._at
        self._at = at
        self._follow(moved=True)
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

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Go down."""
        event.stop()
        self.action_move(1)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Go up."""
        event.stop()
        self.action_move(-1)
