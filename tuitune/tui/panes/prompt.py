"""Where questions are typed: one line that grows, and what was asked before."""

from __future__ import annotations

from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

from tuitune.text import clean
from tuitune.tui.kit.rows import cells

_MOST_ROWS = 5
_MOST_HISTORY = 200


class Prompt(TextArea):
    """Enter sends; a line that ends in a backslash goes on; up and down in an empty prompt bring questions back."""

    DEFAULT_CSS = """
    Prompt {
        height: 1; max-height: 5; width: 1fr; border: none; padding: 0; background: $lift; color: $strong;
        scrollbar-size-vertical: 0;
    }
    Prompt:focus { border: none; }
    Prompt .text-area--cursor { background: $accent; color: $background; text-style: none; }
    Prompt .text-area--selection { background: $sel; color: $strong; }
    Prompt .text-area--placeholder { color: $quiet; text-style: none; }
    Prompt:ansi .text-area--cursor { background: transparent; text-style: reverse; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "send", "Send", show=False, id="chat.send", tooltip="ask; a backslash before it: a new line"),
    ]

    class Sent(Message):
        """The user asks."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, placeholder: str, *, most: int = _MOST_ROWS) -> None:
        super().__init__(
            placeholder=placeholder, highlight_cursor_line=False, show_line_numbers=False, soft_wrap=True, compact=True
        )  # fmt: skip
        self.cursor_blink = False  # a blinking cursor is two repaints a second on the line
        self._most = most
        self.asked: list[str] = []
        self._at: int | None = None

    @property
    def measure(self) -> int:
        """The cells of its longest line."""
        return max(cells(line) for line in self.text.split("\n"))

    def fill(self, text: str) -> None:
        """Put a text there, with the cursor at its end."""
        self.text = clean(text)
        self.move_cursor(self.document.end)

    def remember(self, text: str) -> None:
        """Take a question into what was asked."""
        self.asked = [*(old for old in self.asked if old != text), text][-_MOST_HISTORY:]
        self._at = None

    def on_key(self, event: events.Key) -> None:
        """Send at enter, or go on after a backslash."""
        if event.key == "enter":
            event.prevent_default()
            event.stop()
            self.action_send()

    def action_send(self) -> None:
        """Send what is typed."""
        before = self.get_text_range((0, 0), self.cursor_location)
        if before.endswith("\\"):
            row, column = self.cursor_location
            self.replace("\n", (row, column - 1), (row, column))
            return
        self.post_message(self.Sent(self.text))

    def on_paste(self, event: events.Paste) -> None:
        """Take in what is pasted, cleaned: a terminal must not obey it here either."""
        event.prevent_default()
        event.stop()
        self.insert_text(event.text)

    def insert_text(self, text: str) -> None:
        """Put a text where the cursor is."""
        done = self.replace(clean(text), *self.selection)
        self.move_cursor(done.end_location)

    def on_text_area_changed(self) -> None:
        """Grow with the text."""
        self.fit_height()

    def on_resize(self) -> None:
        """Grow with the text."""
        self.fit_height()

    def fit_height(self) -> None:
        """Take the rows that the text needs."""
        rows = max(1, min(self._most, self.wrapped_document.height))
        if self.styles.height is None or self.styles.height.value != rows:
            self.styles.height = rows

    def action_cursor_up(self, select: bool = False) -> None:
        """Move up, or bring back the question before."""
        if not select and self._recalls():
            self._recall(-1)
        else:
            super().action_cursor_up(select)

    def action_cursor_down(self, select: bool = False) -> None:
        """Move down, or bring back the question after."""
        if not select and self._at is not None and self._recalls():
            self._recall(1)
        else:
            super().action_cursor_down(select)

    def _recalls(self) -> bool:
        recalled = self._at is not None and self.text == self.asked[self._at]
        return bool(self.asked) and (not self.text or recalled)

    def _recall(self, by: int) -> None:
        at = len(self.asked) if self._at is None else self._at
        at = max(0, at + by)
        self._at = at if at < len(self.asked) else None
        self.fill(self.asked[self._at] if self._at is not None else "")
