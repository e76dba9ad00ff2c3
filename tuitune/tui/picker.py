"""A list to choose from that is searched by typing: presets, files, runs, the values of a field."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.geometry import Size
from textual.widget import Widget
from textual.widgets import Input

from tuitune.text import clean_line
from tuitune.tui.box import Box, Boxed, Lines, Says, choice_row, room
from tuitune.tui.kit.drawn import Drawn
from tuitune.tui.kit.rows import R, Row, cells, cut, width_of

NOTHING_FITS = "nothing fits; take some of it away"
_AROUND, _MOST = 6, 24  # the rows of title, input, hints and the gaps between; how long a list may be
_LEAST_BOX, _MOST_BOX = 72, 140  # cells
_BESIDE = 11  # cells of a row that are neither title nor note: frame, mark, gaps
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
        if n is not None and isinstance(self.screen, Picker):
            self.at = n
            self.screen.action_choose()

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Go down."""
        event.stop()
        self.move(3)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Go up."""
        event.stop()
        self.move(-3)


def _widest(texts: Iterable[str]) -> int:
    return max((cells(clean_line(text)) for text in texts), default=0)


def _column(items: Sequence[PickItem]) -> int:
    """Return the cell where the notes begin."""
    return _widest(each.title for each in items) + 4


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


class Picker(Boxed[str]):
    """A searchable list; the answer is the key of the chosen item, None after escape.

    Without items it is open at once, and is filled when they are known: one may type, and enter waits for them.
    """

    DEFAULT_CSS = """
    Picker Input, Picker Input:focus { border: none; height: 1; padding: 0 1; background: $lift; color: $strong; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Previous", id="picker.up", priority=True),
        Binding("down", "move(1)", "Next", id="picker.down", priority=True),
        Binding("pageup", "page(-1)", "Page up", id="picker.pageup", priority=True),
        Binding("pagedown", "page(1)", "Page down", id="picker.pagedown", priority=True),
        Binding("enter", "choose", "Choose", id="picker.choose", priority=True),
    ]

    def __init__(
        self,
        title: str,
        items: Sequence[PickItem] | None,
        *,
        placeholder: str = "type to search",
        chosen: str | None = None,
    ) -> None:
        super().__init__()
        self._title, self._items, self._placeholder, self._wanted = title, items or (), placeholder, chosen
        self.known = items is not None  # whether it has been found out what there is
        self.waits = False  # enter was pressed before there was a list
        self._found: Found | None = None

    @property
    def _at(self) -> int:
        return next((n for n, item in enumerate(self._items) if item.key == self._wanted), 0)

    def fill(self, items: Sequence[PickItem]) -> None:
        """Show what was found meanwhile; where enter was pressed already, choose."""
        self._items, self.known = items, True
        self._widen()
        if self._found is None:
            return  # it is laid out with them
        text = next((field.value for field in self.query(Input)), "")
        self._found.none = NOTHING_FITS
        self._found.fill(items, text, 0 if text else self._at)
        if self.waits:
            self.waits = False
            self.action_choose()

    def content(self) -> Iterable[Widget]:
        """Yield title, input and list."""
        yield Says(self._title)
        yield Input(placeholder=clean_line(self._placeholder))
        self._found = Found(self._items, self._at)
        self._found.none = NOTHING_FITS if self.known else "looking ..."
        yield self._found
        yield Hints()

    def on_mount(self) -> None:
        """Take the width that the notes need."""
        super().on_mount()
        self._widen()

    def _widen(self) -> None:
        titles, notes = (_widest(getattr(each, of) for each in self._items) for of in ("title", "note"))
        for box in self.query(Box):
            box.styles.width = max(_LEAST_BOX, min(_MOST_BOX, titles + notes + _BESIDE))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search."""
        event.stop()
        if event.value or self.query_one(Found).items != list(self._items):
            self.query_one(Found).search(event.value)

    def action_move(self, by: int) -> None:
        """Go up or down."""
        self.query_one(Found).move(by)

    def action_page(self, by: int) -> None:
        """Go a page up or down."""
        found = self.query_one(Found)
        found.move(by * max(2, found.size.height - 1))

    def action_choose(self) -> None:
        """Answer with the item under the cursor, as soon as there are items."""
        found = self._found
        self.waits = not self.known
        if found is not None and found.items:
            self.answer(found.items[found.at].key)


class Hints(Lines):
    """The keys of a list."""

    DEFAULT_CSS = "Hints { margin-top: 1; }"

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the keys."""
        keys = (("↑↓", "move"), ("enter", "choose"), ("esc", "leave"))
        return [[span for key, text in keys for span in R("accent", key, "quiet", f" {text}   ")]]
