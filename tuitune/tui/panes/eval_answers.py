"""The Answers pane: one row of an evaluation with what every model made of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.events import MouseScrollDown, MouseScrollUp

from tuitune.run.evaluation import Item
from tuitune.tui.evaluating import Found
from tuitune.tui.kit.bound import bound
from tuitune.tui.kit.pane import DrawnPane
from tuitune.tui.kit.rows import R, Row
from tuitune.tui.panes.eval_page import AGAINST, Against, page, texts_of

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

_END = 1 << 60
_WHEEL = 3
_KEYS = (
    ("up,k", "scroll_by(-1)", "Up", "up", "a line up"),
    ("down,j", "scroll_by(1)", "Down", "down", "a line down"),
    ("pageup", "page(-1)", "Page up", "pageup", "a page up"),
    ("pagedown,space", "page(1)", "Page down", "pagedown", "a page down"),
    ("home,g", f"scroll_by({-_END})", "To the top", "top", "to the first line"),
    ("end,G", f"scroll_by({_END})", "To the end", "end", "to the last line"),
    ("y", "copy", "Copy", "copy", "copy prompt, reference and answers"),
)


class AnswersOfRow(DrawnPane):
    """Prompt, reference and answers of a row."""

    label = "Answers"
    digit = "5"
    HELP = """
# Answers

What was asked, what the data say, and what every model said. `[−…]` is in the reference and not in the answer, `[+…]`
is in the answer and not in the reference.

- **d** compares with the reference, with the base's answer, or with nothing
- **n** **p** the next row and the one before
- **up** **down** **page up** **page down** scroll
- **y** copies all of it
"""
    BINDINGS: ClassVar[list[BindingType]] = bound(_KEYS, "answer.")
    if TYPE_CHECKING:
        app: TuiTune

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.against: Against = "reference"
        self._found: Found | None = None
        self._item: Item | None = None
        self._where = ""
        self._top = 0
        self._laid: tuple[int, list[Row]] | None = None  # the width, and the lines for it

    @property
    def meta(self) -> Row:
        """Which row it is, and how much of it is above."""
        if self._item is None:
            return []
        width, height = self.content_size
        count = len(self._lines(width)) if width else 0
        place = f"  {self._top + 1}-{min(count, self._top + height - 1)} of {count}" if count > height - 1 > 0 else ""
        return R("quiet", self._where, "faint", place)

    def show(self, found: Found | None, item: Item | None, where: str) -> None:
        """Show a row; `where` says which of how many it is."""
        same = item is not None and self._item is not None and (item.task, item.id) == (self._item.task, self._item.id)
        self._found, self._item, self._where = found, item, where
        self._laid = None
        if not same:
            self._top = 0
        self.redraw()

    def compare(self) -> Against:
        """Compare answers with the next thing, and return that."""
        self.against = AGAINST[(AGAINST.index(self.against) + 1) % len(AGAINST)]
        self._laid = None
        self.redraw()
        return self.against

    def body(self, width: int, height: int) -> list[Row]:
        """Return the lines in view."""
        if self._item is None:
            return [R("quiet", "a row of the list, with what every model answers to it")]
        lines = self._lines(width)
        self._top = max(0, min(self._top, len(lines) - height))
        return lines[self._top : self._top + height]

    def _lines(self, width: int) -> list[Row]:
        assert self._item is not None
        assert self._found is not None
        if self._laid is None or self._laid[0] != width:
            found, missing = self._found.evaluation, self._found.missing(self._item)
            self._laid = width, page(self._item, found.models, max(8, width), self.against, missing=missing)
        return self._laid[1]

    # -- what keys and the mouse do ----------------------------------------------------------------------------

    def action_scroll_by(self, lines: int) -> None:
        """Go up or down."""
        if self._item is not None:
            width, height = self.content_size
            self._top = max(0, min(self._top + lines, len(self._lines(width)) - max(1, height - 1)))
            self.redraw()

    def action_page(self, by: int) -> None:
        """Go a page up or down."""
        self.action_scroll_by(by * max(1, self.content_size.height - 2))

    def action_copy(self) -> None:
        """Copy all of the row."""
        if self._item is not None and self._found is not None:
            self.app.copy(texts_of(self._item, self._found.evaluation.models))

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Go down."""
        event.stop()
        self.action_scroll_by(_WHEEL)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Go up."""
        event.stop()
        self.action_scroll_by(-_WHEEL)
