"""The items of a list that fit what was typed, drawn with a cursor."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.geometry import Size
from textual.message import Message

from tuitune.text import clean_line
from tuitune.tui.box import choice_row, room
from tuitune.tui.kit.drawn import Drawn
from tuitune.tui.kit.rows import R, Row, cells, cut, width_of

NOTHING_FITS = "nothing fits; take some of it away"
_AROUND, _MOST = 6, 24  # the rows of title, input, hints and the gaps between; how long a list may be
_LEAST_NOTE = 20


@dataclass(frozen=True, slots=True)
class PickItem:
    """One thing to choose: its key is the answer, the note says what it is, a group stands above its items."""

    key: str
    title: str
    note: str
    group: str = ""


class Found(Drawn):
    """The items that fit what was typed, with a cursor."""

    DEFAULT_CSS = "Found { height: auto; min-height: 1; width: 1fr; margin-top: 1; }"

    class Clicked(Message):
        """The item at the cursor was clicked."""

    def __init__(self, items: Sequence[PickItem], at: int = 0) -> None:
        super().__init__()
        self._all, self.items, self.at, self._top = tuple(items), list(items), at, 0
        self.none = NOTHING_FITS  # said where the list is empty
        self._lines = _lines(self.items)
        self._column = _column(self._all)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return the lines of the whole list: while one types, the box keeps its size."""
        return max(1, min(len(_lines(self._all)), room(viewport) - _AROUND, _MOST))

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the part of the list around the cursor."""
        if not self.items:
            return [R("quiet", self.none)]
        self._follow(height)
        rows = []
        for line in self._lines[self._top : self._top + height]:
            rows.append(R("quiet b", clean_line(line)) if isinstance(line, str) else self._item(line, width))
        return rows

    def _item(self, n: int, width: int) -> Row:
        item, chosen = self.items[n], n == self.at
        ground = " on sel" if chosen else ""
        left = R(f"accent{ground}", "▌ " if chosen else "  ")
        left += R(f"{'strong b' if chosen else 'ink'}{ground}", clean_line(item.title))
        # Notes begin below each other, unless the titles leave them no room.
        column = self._column
        if column + _LEAST_NOTE > width:
            return choice_row(left, clean_line(item.note), width, chosen)
        left += R(f"quiet{ground}", " " * (column - width_of(left)) + cut(clean_line(item.note), width - column - 1))
        return choice_row(left, "", width, chosen)

    def _follow(self, height: int) -> None:
        line = self._lines.index(self.at)
        # The heading above the first item of a group comes along.
        above = line - 1 if line > 0 and isinstance(self._lines[line - 1], str) else line
        self._top = max(0, min(self._top, above, len(self._lines) - 1), line - height + 1)
        self._top = min(self._top, max(0, len(self._lines) - height))

    def fill(self, items: Sequence[PickItem], text: str = "", at: int = 0) -> None:
        """Show other items: what fits `text`, the cursor on one of them."""
        self._all = tuple(items)
        self._column = _column(self._all)
        self.search(text)
        self.at = at if self.items else 0
        self.refresh(layout=True)

    def search(self, text: str) -> None:
        """Show what fits `text`, best first."""
        self.items, self.at, self._top = matching(self._all, text), 0, 0
        self._lines = _lines(self.items)
        self.redraw()

    def move(self, by: int) -> None:
        """Go up or down; single steps go round."""
        if self.items:
            to = self.at + by
            self.at = to % len(self.items) if abs(by) == 1 else max(0, min(len(self.items) - 1, to))
            self.redraw()

    def line_at(self, y: int) -> int | None:
        """Return which item stands on a row."""
        at = self._top + y
        line = self._lines[at] if 0 <= at < len(self._lines) else None
        return line if isinstance(line, int) else None

    def on_click(self, event: Click) -> None:
        """Choose what is under the mouse."""
        n = self.line_at(event.y)
        if n is not None:
            self.at = n
            self.post_message(self.Clicked())

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Go down."""
        event.stop()
        self.move(3)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Go up."""
        event.stop()
        self.move(-3)


def widest(texts: Iterable[str]) -> int:
    """Return the cells that the widest of some texts takes."""
    return max((cells(clean_line(text)) for text in texts), default=0)


def _column(items: Sequence[PickItem]) -> int:
    """Return the cell where the notes begin."""
    return widest(each.title for each in items) + 4


def _lines(items: Sequence[PickItem]) -> list[str | int]:
    """Return the lines of a list: the name of a group before its items, else the place of an item."""
    lines: list[str | int] = []
    group = ""
    for n, item in enumerate(items):
        if item.group and item.group != group:
            lines.append(item.group)
        group = item.group
        lines.append(n)
    return lines


def matching(items: Sequence[PickItem], text: str) -> list[PickItem]:
    """Return the items that hold every word of `text`: whose title is it, begins with it, holds it, then the others."""
    words = text.lower().split()

    def rank(item: PickItem) -> int:
        title = item.title.lower()
        if all(word in title for word in words):
            return 0 if title.split() == words else 1 if title.startswith(words[0]) else 2
        return 3 if all(word in f"{title} {item.note} {item.group}".lower() for word in words) else 4

    if not words:
        return list(items)
    ranked = sorted(((rank(item), n) for n, item in enumerate(items)), key=lambda pair: pair[0])
    return [items[n] for place, n in ranked if place < 4]
