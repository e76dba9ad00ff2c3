"""A list with a cursor: only the lines in view are drawn, so a million scroll like ten."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message

from tuitune.tui.kit.drawn import Drawn
from tuitune.tui.kit.rows import Row, fit, grounded

_END = 1 << 60
Key = tuple[str, str, str, str, str]
"""Keys, action, title, the end of an id, tooltip."""


def cursor_keys(prefix: str, line: str, own: Sequence[Key], *, page_down: str = "pagedown") -> list[BindingType]:
    """Return the keys of a list whose binding ids begin with `prefix`, and its own; line: what a line is."""
    keys = [
        ("up,k", "move(-1)", "Up", "up", f"the {line} above"),
        ("down,j", "move(1)", "Down", "down", f"the {line} below"),
        ("pageup", "page(-1)", "Page up", "pageup", "a page up"),
        (page_down, "page(1)", "Page down", "pagedown", "a page down"),
        ("home,g", f"move({-_END})", "First", "first", f"the first {line}"),
        ("end,G", f"move({_END})", "Last", "last", f"the last {line}"),
        *own,
    ]
    return [
        Binding(key, action, title, show=False, id=f"{prefix}.{name}", tooltip=tip)
        for key, action, title, name, tip in keys
    ]


class CursorList(Drawn, can_focus=True):
    """Lines with a cursor; a subclass says how many by `__len__`, and draws those of `in_view` by `rows`."""

    HEAD: ClassVar[int] = 0  # rows above the lines
    WHEEL: ClassVar[int] = 1  # lines for each turn

    class Moved(Message):
        """The cursor stands on another line."""

    class Opened(Message):
        """What the line stands for is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.at = self._top = 0

    def __len__(self) -> int:
        raise NotImplementedError

    def __bool__(self) -> bool:
        return True  # an empty list is a widget too

    def in_view(self, height: int) -> range:
        """Return the lines around the cursor that so many rows have room for."""
        room, count = max(1, height - self.HEAD), len(self)
        self._top = max(min(self._top, self.at, count - room), self.at - room + 1, 0)
        return range(self._top, min(count, self._top + room))

    def pointed(self, row: Row, number: int, width: int, bar: str = "accent") -> Row:
        """Return a line with the cursor before it if it stands there, else with a blank."""
        if number != self.at:
            return [(" ", "ink"), *row]
        row = [(text, "strong b" if role == "ink" else role) for text, role in row]
        return grounded(fit([("▌", bar), *row], width), "sel")

    def line_at(self, y: int) -> int | None:
        """Return the line in a row of the widget."""
        number = self._top + y - self.HEAD
        return number if y >= self.HEAD and number < len(self) else None

    def go_to(self, number: int) -> None:
        """Put the cursor on a line, and tell."""
        self.at = max(0, min(len(self) - 1, number))
        self.moved()

    def moved(self) -> None:
        """Draw the cursor where it stands now, and tell."""
        if self.is_mounted:
            self.redraw()
        # By itself: Textual lets a message that was made on behalf of a parent go no further than to that parent.
        self.call_later(lambda: self.post_message(self.Moved()))

    def action_move(self, by: int) -> None:
        """Move the cursor by so many lines."""
        to = max(0, min(len(self) - 1, self.at + by))
        if to != self.at:
            self.go_to(to)

    def action_page(self, by: int) -> None:
        """Move the cursor by so many pages."""
        self.action_move(by * max(1, self.content_size.height - 1 - self.HEAD))

    def action_open(self) -> None:
        """Ask for what the line stands for."""
        if len(self):
            self.post_message(self.Opened())

    def on_click(self, event: Click) -> None:
        """Do what a click means."""
        self.click(event)

    def click(self, event: Click) -> None:
        """Go to the line under the mouse; the second click opens it."""
        if (at := self.line_at(event.y)) is not None:
            again = event.chain >= 2 and at == self.at
            self.go_to(at)
            if again:
                self.action_open()

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Go down."""
        event.stop()
        self.action_move(self.WHEEL)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Go up."""
        event.stop()
        self.action_move(-self.WHEEL)
