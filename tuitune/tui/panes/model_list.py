"""The list of models: a cursor, and what is done with the item under it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message

from tuitune.tui.kit.drawn import Drawn
from tuitune.tui.kit.rows import R, Row
from tuitune.tui.kit.wrapping import wrapped
from tuitune.tui.panes.model_details import ROWS, details
from tuitune.tui.panes.model_items import Item, item_row

_DETAILS_FROM = 14  # rows; below it every row is for the list
_END = 1_000_000


class ModelList(Drawn, can_focus=True):
    """Shows items; tells its pane what to do with one of them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, id="models.up", tooltip="the row above"),
        Binding("down,j", "move(1)", "Down", show=False, id="models.down", tooltip="the row below"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="models.pageup", tooltip="a page up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="models.pagedown", tooltip="a page down"),
        Binding("home", f"move({-_END})", "First", show=False, id="models.first", tooltip="the first row"),
        Binding("end", f"move({_END})", "Last", show=False, id="models.last", tooltip="the last row"),
        Binding("enter", "do('use')", "Use", id="models.use", tooltip="train this model; an adapter asks"),
        Binding("t", "do('further')", "Train further", id="models.further", tooltip="train this adapter further"),
        Binding("c", "do('chat')", "Chat", id="models.chat", tooltip="talk to this model or adapter"),
    ]

    class Wish(Message):
        """Something is to be done with an item: `use`, `further` or `chat`."""

        def __init__(self, item: Item, what: str) -> None:
            super().__init__()
            self.item, self.what = item, what

    class Moved(Message):
        """The cursor stands elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.items: Sequence[Item] = ()
        self.at = 0
        self._top = 0
        self._empty = ""

    @property
    def item(self) -> Item | None:
        """The item under the cursor."""
        return self.items[self.at] if self.at < len(self.items) else None

    @property
    def overflows(self) -> bool:
        """Whether there are more items than rows."""
        return len(self.items) > self._room(self.content_size.height)

    def show(self, items: Sequence[Item], empty: str = "", *, first: bool = False) -> None:
        """Show other items; the cursor stays on its own, or goes to the first. Without any, `empty` says why."""
        key = self.item.key if self.item is not None and not first else None
        self.items, self._empty = items, empty
        same = (i for i, item in enumerate(items) if item.key == key)
        self.at = next(same, min(self.at, max(0, len(items) - 1)) if key else 0)
        self._moved()

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the items around the cursor and, with room, details of the one under it."""
        if not self.items:
            return [R("quiet", " " + line) for line in wrapped(self._empty, width - 1)]
        room = self._room(height)
        self._top = max(min(self._top, self.at, len(self.items) - room), self.at - room + 1, 0)
        seen = range(self._top, min(len(self.items), self._top + room))
        rows = [item_row(self.items[i], width, cursor=i == self.at) for i in seen]
        item = self.item
        if room == height or item is None:
            return rows
        return [*rows, *([] for _ in range(room - len(rows))), *details(item, width)]

    def _room(self, height: int) -> int:
        return max(1, height - ROWS if height >= _DETAILS_FROM else height)

    def action_move(self, by: int) -> None:
        """Move the cursor by so many rows."""
        self.at = max(0, min(len(self.items) - 1, self.at + by))
        self._moved()

    def action_page(self, by: int) -> None:
        """Move the cursor by so many pages."""
        self.action_move(by * self._room(self.content_size.height))

    def action_do(self, what: str) -> None:
        """Ask the pane to do `what` with the item under the cursor."""
        if self.item is not None:
            self.post_message(self.Wish(self.item, what))

    def _moved(self) -> None:
        if self.is_mounted:
            self.redraw()
        self.post_message(self.Moved())

    def on_click(self, event: Click) -> None:
        """Select the row under the mouse; the second click uses it."""
        at = self._top + event.y
        if event.y >= self._room(self.content_size.height) or at >= len(self.items):
            return
        again = event.chain >= 2 and at == self.at
        self.at = at
        self._moved()
        if again:
            self.action_do("use")

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Go down."""
        event.stop()
        self.action_move(1)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Go up."""
        event.stop()
        self.action_move(-1)
