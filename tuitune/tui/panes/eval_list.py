"""The list of rows with their scores: only what is in view is drawn, so a hundred thousand rows scroll like ten."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from tuitune.run.evaluation import Item, title_of
from tuitune.text import clean_line
from tuitune.tui.kit.cursor import CursorList, cursor_keys
from tuitune.tui.kit.rows import R, Row, fit
from tuitune.tui.kit.units import fixed
from tuitune.tui.kit.wrapping import wrapped
from tuitune.tui.panes.eval_order import Order

_SEEN = 240  # characters of a text that a line can show
_SCORE = 6  # cells
_KEYS = (("enter", "open", "Its answers", "open", "go to its answers"),)


class PredictionList(CursorList):
    """Rows of an evaluation with a cursor; the scores of the order stand before their words."""

    HEAD, WHEEL = 1, 3
    BINDINGS: ClassVar[list[BindingType]] = cursor_keys("predictions", "row", _KEYS, page_down="pagedown,space")

    class Moved(CursorList.Moved):
        """The cursor stands on another row."""

    class Opened(CursorList.Opened):
        """The answers of the row are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.items: Sequence[Item] = ()
        self.order = Order()
        self._models: tuple[str, ...] = ()
        self._empty = ""

    def __len__(self) -> int:
        return len(self.items)

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
        self.moved()

    # -- drawing -----------------------------------------------------------------------------------------------

    def rows(self, width: int, height: int) -> list[Row]:
        """Return a line with what the numbers are, then the rows around the cursor."""
        if not self.items:
            return [R("quiet", " " + line) for line in wrapped(self._empty, width - 1)]
        return [self._head(width), *(self._row(n, width) for n in self.in_view(height))]

    def _head(self, width: int) -> Row:
        names = "".join(f" {clean_line(name)[:_SCORE]:>{_SCORE}}" for name in self._columns)
        what = f"  {clean_line(title_of(self.order.score))}" if self._columns else ""
        return fit(R("quiet", f" {names}{what}"), width)

    @property
    def _columns(self) -> tuple[str, ...]:
        return self._models if self.order.score else ()

    def _row(self, number: int, width: int) -> Row:
        item = self.items[number]
        row: Row = []
        for n, model in enumerate(self._columns):
            reply = item.answers.get(model)
            value = reply.scores.get(self.order.score) if reply is not None else None
            text = "-" if value is None else score_words(self.order.score, value)
            row += R("accent" if n == 0 else "quiet", f" {text:>{_SCORE}}")
        row += R("ink", f"  {beginning(item)}")
        return self.pointed(row, number, width)


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


def score_words(name: str, value: float) -> str:
    """Return a score of a row as its figure is told: shares in percent, yes or no where it is one answer."""
    if name == "exact_match":
        return "yes" if value else "no"
    return f"{fixed(100 * value, 1)}%" if name == "accuracy" and math.isfinite(value) else short(value)
