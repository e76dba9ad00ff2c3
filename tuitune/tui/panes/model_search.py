"""The line above the model list: what to search for, or a model's name or path."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget

from tuitune.tui.kit.glyphs import ascii_text
from tuitune.tui.panes.find_line import FindLine


class Glass(Widget):
    """The sign before the search line."""

    DEFAULT_CSS = "Glass { width: 2; height: 1; color: $quiet; }"

    def render(self) -> Content:
        """Return the glyph."""
        return Content(ascii_text("⌕") if getattr(self.app, "ascii_glyphs", False) else "⌕")


class SearchLine(FindLine):
    """Words to search for, or a model's name or path."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down", "list", "To the list", show=False, id="models.tolist", tooltip="go to the models found"),
        Binding("escape", "clear", "All models", show=False, id="models.clear", tooltip="end the search"),
    ]

    def action_clear(self) -> None:
        """Search for nothing; when nothing was searched for, leave the line."""
        if self.value:
            self.value = ""
        else:
            self.action_list()
