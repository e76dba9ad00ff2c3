"""A widget of rows that repaints only what changed: over SSH every byte counts."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from rich.segment import Segment
from rich.style import Style
from textual.app import App
from textual.color import Color
from textual.geometry import Region, Size
from textual.strip import Strip
from textual.widget import Widget

from tuitune.tui.kit.glyphs import ascii_text
from tuitune.tui.kit.rows import Row, cut, fit

_LEAST_WIDTH = 8


class Drawn(Widget):
    """Rows of text; a subclass gives `rows(width, height)` and calls `redraw()` when what it shows has changed."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._shown: list[Row] = []
        self._shown_for: tuple[Size, object] | None = None

    def rows(self, width: int, height: int) -> list[Row]:
        """Return what to show in so many cells; rows beyond the height are not shown."""
        return []

    def redraw(self) -> None:
        """Build the rows anew and repaint those that differ."""
        before, (width, height) = self._shown, self.content_size
        resized = self._shown_for is not None and self._shown_for[0] != self.content_size
        self._build(width, height)
        if resized:  # Textual may still hold the lines of the size that it comes back to
            self.refresh()
            return
        longest = max(len(before), len(self._shown))
        for y in range(min(longest, height)):
            old, new = (rows[y] if y < len(rows) else None for rows in (before, self._shown))
            if old != new:
                self.refresh(Region(0, y, width, 1))  # counted from the content: Textual adds the padding

    def _build(self, width: int, height: int) -> None:
        rows = self.rows(width, height) if width >= _LEAST_WIDTH and height > 0 else []
        self._shown = [fit(row, width) for row in rows[:height]]
        self._shown_for = (self.content_size, self.app.theme)

    def render_lines(self, crop: Region) -> list[Strip]:
        """Draw the rows that are asked for."""
        if self._shown_for != (self.content_size, self.app.theme):
            self._build(*self.content_size)
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """Draw one row."""
        row = self._shown[y] if y < len(self._shown) else [(" " * self.content_size.width, "ink")]
        plain = getattr(self.app, "ascii_glyphs", False)
        segments = [Segment(ascii_text(text) if plain else text, self.role(role)) for text, role in row if text]
        return Strip(segments).apply_style(self.rich_style)

    def role(self, role: str) -> Style:
        """Return the style of a role in the present theme."""
        return style_of(self.app, role)

    @staticmethod
    def shortened(text: str, width: int) -> str:
        """Return `text` in at most `width` cells."""
        return cut(text, width)


def style_of(app: App[Any], role: str) -> Style:
    """Return the style of a role in the theme of `app`."""
    table = app.theme_variables
    name, *words = role.split()
    ground = words[words.index("on") + 1] if "on" in words else None
    ansi = app.current_theme.ansi
    back = table[ground] if ground else None
    return _style(table[name], back, ground == "sel", ansi, frozenset(words) & {"b", "i", "u"})


@lru_cache(maxsize=512)
def _style(ink: str, ground: str | None, chosen: bool, ansi: bool | None, words: frozenset[str]) -> Style:
    if chosen and ansi:
        # Of sixteen unknown colours only reverse is sure to be readable.
        return Style(reverse=True, bold="b" in words or None)
    back = Color.parse(ground).rich_color if ground is not None else None
    return Style(
        color=Color.parse(ink).rich_color,
        bgcolor=back,
        bold="b" in words or None,
        underline="u" in words or None,
        italic="i" in words or None,
    )
