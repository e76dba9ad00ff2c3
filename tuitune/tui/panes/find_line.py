"""The line above a list to search it with: what it looks like, and how the keys come back to the list."""

from __future__ import annotations

from textual.message import Message

from tuitune.tui.panes.field_edit import LineInput


class FindLine(LineInput):
    """Words to search for; a subclass says by which keys they are left."""

    DEFAULT_CSS = """
    FindLine, FindLine:focus {
        width: 1fr; background: $background; color: $ink; background-tint: $background 0%;
    }
    FindLine > .input--placeholder { color: $faint; text-style: italic; }
    """

    class Left(Message):
        """The keys should go to the list."""

    def action_list(self) -> None:
        """Give the keys to the list."""
        self.post_message(self.Left())

    def action_clear(self) -> None:
        """Search for nothing, and leave the line."""
        self.value = ""
        self.action_list()
