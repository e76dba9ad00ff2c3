"""A pane that lists items, one of them chosen, and shows all of one in its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Generic, TypeVar

from textual.binding import BindingType
from textual.events import Click, MouseScrollDown, MouseScrollUp

from tuitune.tui.kit.bound import bound
from tuitune.tui.kit.pane import DrawnPane
from tuitune.tui.kit.rows import Row, grounded
from tuitune.tui.panes.wrapping import wrapped

T = TypeVar("T")
_WHEEL = 3
_KEYS = (
    ("up,k", "move(-1)", "Up", "up", "the line above"),
    ("down,j", "move(1)", "Down", "down", "the line below"),
    ("pageup", "page(-1)", "Page up", "page_up", "a page up"),
    ("pagedown", "page(1)", "Page down", "page_down", "a page down"),
    ("home,g", "edge(0)", "First line", "first", "the first line"),
    ("end,G", "edge(1)", "Last line", "last", "the last line"),
    ("enter,space", "open", "Whole text", "open", "the whole text of the line, or one row again"),
    ("y", "copy", "Copy", "copy", "copy the whole text of the line"),
)


def list_keys(name: str) -> list[BindingType]:
    """Return the keys of a list whose bindings begin with `name`."""
    return bound(_KEYS, f"{name}.")


class ListPane(DrawnPane, Generic[T]):
    """Lists items; a subclass says what they are by `take`, and draws them by `lines_of`."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._items: Sequence[T] = []
        self._at, self._top, self._skip = 0, 0, 0  # the chosen item, the first that is seen, its rows above the edge
        self._opened: T | None = None
        self._spots: list[int] = []  # the item that each row of the body belongs to

    # What a subclass says

    def lines_of(self, item: T, width: int, *, chosen: bool, opened: bool) -> list[Row]:
        """Return the rows of an item."""
        raise NotImplementedError

    def text_of(self, item: T) -> str:
        """Return the whole text of an item."""
        raise NotImplementedError

    def nothing(self) -> str:
        """Return what is said where there are no items."""
        raise NotImplementedError

    def take(self, items: Sequence[T]) -> None:
        """Show other items; the chosen one stays chosen unless it was the newest."""
        if self._at or self._opened is not None:
            chosen = self._chosen()
            new = next((i for i, item in enumerate(items) if item is chosen), self._at)
            if self._top:
                self._top = max(0, self._top + new - self._at)
            self._at = new
        self._items = items
        self.redraw()

    def restart(self, items: Sequence[T]) -> None:
        """Show items of something else."""
        self._at, self._top, self._skip, self._opened = 0, 0, 0, None
        self._items = []
        self.take(items)

    # Rows

    def body(self, width: int, height: int) -> list[Row]:
        """Return the items that fit, the chosen one among them."""
        self._spots = []
        if not self._items:
            return wrapped([(self.nothing(), "quiet")], width)
        self._at = min(self._at, len(self._items) - 1)
        self._scroll(width, height)
        rows: list[Row] = []
        for index in range(self._top, len(self._items)):
            found = self._rows_of(index, width)[self._skip if index == self._top else 0 :]
            rows += found
            self._spots += [index] * len(found)
            if len(rows) >= height:
                break
        return rows

    def _scroll(self, width: int, height: int) -> None:
        """Move what is seen so far that the chosen item is in it."""
        self._top = max(0, min(self._top, self._at, len(self._items) - 1))
        used = sum(len(self._rows_of(index, width)) for index in range(self._top, self._at + 1))
        while used > height and self._top < self._at:
            used -= len(self._rows_of(self._top, width))
            self._top += 1
        self._skip = max(0, min(self._skip, used - height)) if self._top == self._at else 0

    def _rows_of(self, index: int, width: int) -> list[Row]:
        item, chosen = self._items[index], index == self._at and self.has_focus
        rows = self.lines_of(item, width, chosen=chosen, opened=item is self._opened)
        return [grounded([*row, (" " * width, "ink")], "sel") for row in rows] if chosen else rows

    # What the keys do

    def action_move(self, way: int) -> None:
        """Choose another item, or see more of one that is longer than the pane."""
        self._go(way, 1)

    def action_page(self, way: int) -> None:
        """Choose an item a page away."""
        self._go(way, max(1, self.content_size.height - 2))

    def _go(self, way: int, by: int) -> None:
        if hidden := self._hidden(way):
            self._skip += way * min(by, hidden)
            self.redraw()
        else:
            self._choose(self._at + way * by)

    def _hidden(self, way: int) -> int:
        """Return the rows of the opened item beyond the edge that `way` leads to."""
        if self._chosen() is not self._opened or self._top != self._at or not self._items:
            return 0
        width, height = self.content_size
        return self._skip if way < 0 else max(0, len(self._rows_of(self._at, width)) - self._skip - (height - 1))

    def action_edge(self, end: int) -> None:
        """Choose the first or the last item."""
        self._choose(end * (len(self._items) - 1))

    def _choose(self, index: int) -> None:
        self._at, self._skip = max(0, min(index, len(self._items) - 1)), 0
        self.redraw()

    def action_open(self) -> None:
        """Show all of the chosen item, or one row of it."""
        chosen = self._chosen()
        self._opened, self._skip = None if chosen is self._opened else chosen, 0
        self.redraw()

    def action_copy(self) -> None:
        """Copy the whole text of the chosen item."""
        chosen, copy = self._chosen(), getattr(self.app, "copy", self.app.copy_to_clipboard)
        if chosen is not None:
            copy(self.text_of(chosen))

    def _chosen(self) -> T | None:
        return self._items[self._at] if self._at < len(self._items) else None

    def on_click(self, event: Click) -> None:
        """Choose the item under the mouse; a second click opens it."""
        focused = self.has_focus
        super().on_click(event)
        row = event.get_content_offset_capture(self).y - 1
        if not 0 <= row < len(self._spots):
            return
        again = self._spots[row] == self._at and focused
        if again:
            self.action_open()
        else:
            self._choose(self._spots[row])

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Go up."""
        event.stop()
        self._go(-1, _WHEEL)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Go down."""
        event.stop()
        self._go(1, _WHEEL)
