"""The list of rows with their scores: only what is in view is drawn, so a hundred thousand rows scroll like ten."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message

from tuitune.run.evaluation import Item
from tuitune.text import clean_line
from tuitune.tui.kit.drawn import Drawn
from tuitune.tui.kit.rows import R, Row, fit, grounded
from tuitune.tui.kit.units import fixed
from tuitune.tui.kit.wrapping import wrapped
from tuitune.tui.panes.eval_order import Order

_END = 1 << 60
_SEEN = 240  # characters of a text that a line can show
_SCORE = 6  # cells
_WHEEL = 3
_KEYS = (
    ("up,k", "move(-1)", "Up", "up", "the row above"),
    ("down,j", "move(1)", "Down", "down", "the row below"),
    ("pageup", "page(-1)", "Page up", "pageup", "a page up"),
    ("pagedown,space", "page(1)", "Page down", "pagedown", "a page down"),
    ("home,g", f"move({-_END})", "First", "first", "the first row"),
    ("end,G", f"move({_END})", "Last", "last", "the last row"),
    ("enter", "open", "Its answers", "open", "go to its answers"),
)


class PredictionList(Drawn, can_focus=True):
    """Rows of an evaluation with a cursor; the scores of the order stand before their words."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key, action, title, show=False, id=f"predictions.{name}", tooltip=tip)
        for key, action, title, name, tip in _KEYS
    ]

    class Moved(Message):
        """The cursor stands on another row."""

    class Opened(Message):
        """The answers of the row are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.items: Sequence[Item] = ()
        self.order = Order()
        self.at = self._top = 0
        self._models: tuple[str, ...] = ()
        self._empty = ""

    @property
    def item(self) -> Item | None:
        """The row under the cursor."""
        return self.items[self.at] if self.at < len(self.items) else None

    def show(
        self, items: Sequence[Item], order: Order, models: Sequence[str], empty: str, *, keep: bool = False
    ) -> None:
        """List rows; `keep` leaves the cursor on its row if that is listed still. models: whose scores stand here."""
        before = self.item if keep else None
        self.items, self.order, self._models, self._empty = items, order, tuple(models), empty
        place = None
        if before is not None:
            place = next((n for n, each in enumerate(items) if (each.task, each.id) == (before.task, before.id)), None)
        self.at = place or 0
        self._moved()

    # -- drawing -----------------------------------------------------------------------------------------------

    def rows(self, width: int, height: int) -> list[Row]:
        """Return a line with what the numbers are, then the rows around the cursor."""
        if not self.items:
            return [R("quiet", " " + line) for line in wrapped(self._empty, width - 1)]
        room = max(1, height - 1)
        self._top = max(min(self._top, self.at, len(self.items) - room), self.at - room + 1, 0)
        seen = range(self._top, min(len(self.items), self._top + room))
        return [self._head(width), *(self._row(n, width) for n in seen)]

    def _head(self, width: int) -> Row:
        names = "".join(f" {clean_line(name)[:_SCORE]:>{_SCORE}}" for name in self._columns)
        what = f"  {clean_line(self.order.score)}" if self._columns else ""
        return fit(R("quiet", f" {names}{what}"), width)

    @property
    def _columns(self) -> tuple[str, ...]:
        return self._models if self.order.score else ()

    def _row(self, number: int, width: int) -> Row:
        item, here = self.items[number], number == self.at
        row = R("accent", "▌" if here else " ")
        for n, model in enumerate(self._columns):
            reply = item.answers.get(model)
            value = reply.scores.get(self.order.score) if reply is not None else None
            text = "-" if value is None else short(value)
            row += R("accent" if n == 0 else "quiet", f" {text:>{_SCORE}}")
        row += R("strong b" if here else "ink", f"  {beginning(item)}")
        return grounded(fit(row, width), "sel") if here else row

    # -- what keys and the mouse do ----------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """Move the cursor by so many rows."""
        to = max(0, min(len(self.items) - 1, self.at + by))
        if to != self.at:
            self.at = to
            self._moved()

    def action_page(self, by: int) -> None:
        """Move the cursor by so many pages."""
        self.action_move(by * max(1, self.content_size.height - 2))

    def action_open(self) -> None:
        """Ask for the answers of the row."""
        if self.item is not None:
            self.post_message(self.Opened())

    def _moved(self) -> None:
        if self.is_mounted:
            self.redraw()
        # By itself: Textual lets a message that was made on behalf of a parent go no further than to that parent.
        self.call_later(self.post_message, self.Moved())

    def on_click(self, event: Click) -> None:
        """Select the row under the mouse; the second click goes to its answers."""
        at = self._top + event.y - 1
        if event.y < 1 or at >= len(self.items):
            return
        again = event.chain >= 2 and at == self.at
        self.at = at
        self._moved()
        if again:
            self.action_open()

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Go down."""
        event.stop()
        self.action_move(_WHEEL)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Go up."""
        event.stop()
        self.action_move(-_WHEEL)


def beginning(item: Item) -> str:
    """Return the first words of a row: what is asked, else what should have been said."""
    text = item.prompt or item.reference or next((each.text for each in item.answers.values() if each.text), "")
    return clean_line(text[:_SEEN]) or clean_line(item.id[:_SEEN])


def short(value: float) -> str:
    """Return a score in at most six cells."""
    if value == value // 1 and abs(value) < 1e5:
        return f"{value:.0f}"
    text = fixed(value, 2 if abs(value) >= 10 else 3)
    return text if len(text) <= _SCORE else f"{value:.4g}"[:_SCORE]
