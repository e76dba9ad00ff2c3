"""The last line of the screen: the few keys that are worth knowing now."""

from __future__ import annotations

from collections.abc import Sequence

from textual.events import Click

from tuitune.tui.kit.drawn import Drawn
from tuitune.tui.kit.rows import R, Row, width_of

Entry = tuple[str, str] | tuple[str, str, str]
"""A key, what it does, and the action of the app that a click runs."""

_GAP = "   "


class KeysLine(Drawn):
    """Keys with words; a click on one does it."""

    DEFAULT_CSS = "KeysLine { height: 1; }"

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._entries: list[Entry] = []

    def show(self, entries: Sequence[Entry]) -> None:
        """Show these keys from now on."""
        if list(entries) != self._entries:
            self._entries = list(entries)
            self.redraw()

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the line; keys that do not fit whole are left out, from the end."""
        row: Row = []
        for key, text in self._fitting(width):
            row += R("accent", key, "quiet", f" {text}{_GAP}")
        return [row]

    def _fitting(self, width: int) -> list[tuple[str, str]]:
        fitting: list[tuple[str, str]] = []
        used = 0
        for key, text, *_ in self._entries:
            used += width_of(R("accent", key, "quiet", f" {text}"))
            if used > width:
                break
            used += len(_GAP)
            fitting.append((key, text))
        return fitting

    async def on_click(self, event: Click) -> None:
        """Do what the key under the mouse does."""
        at, start = event.x - self.gutter.left, 0
        for entry in self._entries[: len(self._fitting(self.content_size.width))]:
            end = start + width_of(R("accent", entry[0], "quiet", f" {entry[1]}"))
            if start <= at < end and len(entry) == 3:
                await self.app.run_action(entry[2])
                return
            start = end + len(_GAP)
