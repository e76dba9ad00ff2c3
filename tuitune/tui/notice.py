"""A text that is too long for a passing message: errors with their reasons, commands, whatever is read in peace."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.events import MouseScrollDown, MouseScrollUp
from textual.geometry import Size
from textual.widget import Widget

from tuitune.text import clean
from tuitune.tui.box import Boxed, Lines, Says, room
from tuitune.tui.kit.drawn import Drawn
from tuitune.tui.kit.rows import R, Row, split
from tuitune.tui.kit.wrapping import wrapped

_PAGE = 10_000
_AROUND = 4  # the rows of title and keys, and the gaps between


class Reading(Drawn, can_focus=True):
    """A text in lines that scroll."""

    DEFAULT_CSS = "Reading { height: auto; width: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll_by(-1)", "Up", id="notice.up"),
        Binding("down,j", "scroll_by(1)", "Down", id="notice.down"),
        Binding("pageup", "page(-1)", "Page up", id="notice.pageup"),
        Binding("pagedown,space", "page(1)", "Page down", id="notice.pagedown"),
        Binding("home", f"scroll_by(-{_PAGE})", "To the top", id="notice.top"),
        Binding("end", f"scroll_by({_PAGE})", "To the end", id="notice.end"),
    ]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text, self._top = clean(text).strip("\n"), 0
        self._wrapped: tuple[int, list[str]] = (0, [])

    def lines(self, width: int) -> list[str]:
        """Return the text in lines of at most `width` cells."""
        if self._wrapped[0] != width:
            self._wrapped = (width, wrapped(self._text, width))
        return self._wrapped[1]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return as many rows as the text needs and the screen has."""
        return max(1, min(len(self.lines(width)), room(viewport) - _AROUND))

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the lines that are in view."""
        lines = self.lines(width)
        self._top = max(0, min(self._top, len(lines) - height))
        return [R("ink", line) for line in lines[self._top : self._top + height]]

    @property
    def place(self) -> str:
        """Which lines are in view; nothing when all are."""
        width, height = self.content_size
        count = len(self.lines(width)) if width else 0
        return f"{self._top + 1}-{min(count, self._top + height)} of {count}" if count > height > 0 else ""

    def action_scroll_by(self, lines: int) -> None:
        """Go up or down."""
        self._top = max(0, self._top + lines)
        self.redraw()
        for foot in self.screen.query(Foot):
            foot.redraw()

    def action_page(self, by: int) -> None:
        """Go a page up or down."""
        self.action_scroll_by(by * max(1, self.size.height - 1))

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Go down."""
        event.stop()
        self.action_scroll_by(3)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Go up."""
        event.stop()
        self.action_scroll_by(-3)


class Foot(Lines):
    """The keys of a notice, and which part of it is in view."""

    DEFAULT_CSS = "Foot { margin-top: 1; }"

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the line."""
        place = next((reading.place for reading in self.screen.query(Reading)), "")
        keys = R("accent", "c", "quiet", " copy   ", "accent", "esc", "quiet", " close")
        return [split(keys, R("quiet", place), width, " ", "ink")]


class Notice(Boxed[None]):
    """A title and a text of any length, to read and to copy."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c,ctrl+c", "copy", "Copy the text", id="notice.copy", priority=True),
        Binding("enter,q", "cancel", "Close", id="notice.close"),
    ]

    def __init__(self, title: str, text: str) -> None:
        super().__init__()
        self._title, self._text = title, text

    def content(self) -> Iterable[Widget]:
        """Yield title, text and keys."""
        yield Says(self._title)
        yield Reading(self._text)
        yield Foot()

    def on_mount(self) -> None:
        """Say which part is in view once the size is known."""
        self.call_after_refresh(self.query_one(Foot).redraw)

    def action_copy(self) -> None:
        """Copy the whole text."""
        copy_by(self.app, clean(self._text))


def copy_by(app: App[Any], text: str) -> None:
    """Copy a text as the app does it, or as Textual does where the app has no way of its own."""
    own = getattr(app, "copy", None)
    if callable(own):
        own(text)
    else:
        app.copy_to_clipboard(text)
