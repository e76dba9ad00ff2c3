"""The Checks and Lengths panes: what the data come to, what is wrong with them, how long they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message

from tuitune.text import clean_line
from tuitune.tui.kit.bound import bound
from tuitune.tui.kit.pane import DrawnPane
from tuitune.tui.kit.rows import R, Row, fit, grounded, slim, split
from tuitune.tui.kit.units import amount
from tuitune.tui.kit.wrapping import wrapped

if TYPE_CHECKING:
    from tuitune.data.look import Look
    from tuitune.data.look_facts import Fact
    from tuitune.data.look_side import Side

_BINS = 16
_BAD = 3  # rows left out that stand here with their reasons
_MARKS = {"ok": ("✓ ", "ok"), "warn": ("▲ ", "warn"), "info": ("  ", "quiet")}
_KEYS = (
    ("up,k", "move(-1)", "Up", "checks.up", "the check above"),
    ("down,j", "move(1)", "Down", "checks.down", "the check below"),
    ("enter,space", "open", "Its rows", "checks.open", "list the rows that it is about"),
)
Line = tuple[Row, str]  # and the filter of the rows that it is about


class ChecksPane(DrawnPane):
    """What was checked; a check lists the rows that it is about."""

    label = "Checks"
    digit = "3"
    HELP = """
# Checks

What was looked at in the data as they will be trained on: whether every answer ends, and whether the model learns that
end; what was cut to cutoff_len; duplicates; rows that were left out, with the reason; how full packs are; how many
optimizer steps there are; how much of the work a trainer would do for padding that is not done here.

**enter** lists the rows that a check is about.
"""
    BINDINGS: ClassVar[list[BindingType]] = bound(_KEYS)

    class Wanted(Message):
        """The rows of a check are asked for; `which` is the filter."""

        def __init__(self, which: str) -> None:
            super().__init__()
            self.which = which

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._look: Look | None = None
        self._side: Side | None = None
        self._facts: list[Fact] = []
        self._figures: list[tuple[str, str]] = []
        self._at, self._top = 0, 0
        self._filters: list[str] = []  # of the rows in view

    def show(self, look: Look | None, side: Side | None) -> None:
        """Show what a split comes to."""
        self._look, self._side = look, side
        self._facts, self._figures = [], []
        if look is not None and side is not None:
            from tuitune.data.look_facts import facts, figures

            self._facts, self._figures = facts(look, side), figures(look, side)
        self._at = min(self._at, max(0, len(self._facts) - 1))
        self.redraw()

    def body(self, width: int, height: int) -> list[Row]:
        """Return checks, then figures."""
        lines = [line for n, fact in enumerate(self._facts) for line in self._fact(n, fact, width)]
        lines += [(row, "") for row in self._figure_rows(width)]
        chosen = next((n for n, (row, _) in enumerate(lines) if row and row[0] == ("▌", "accent on sel")), 0)
        self._top = max(0, min(self._top, chosen, len(lines) - height), chosen - height + 1)
        seen = lines[self._top : self._top + height]
        self._filters = [which for _, which in seen]
        return [row for row, _ in seen]

    def _fact(self, number: int, fact: Fact, width: int) -> list[Line]:
        mark, role = _MARKS[fact.level]
        value = R("warn b" if fact.level == "warn" else "quiet", f" {fact.value}") if fact.value else []
        head, *more = wrapped(fact.text, width - 2 - (len(fact.value) + 1)) or [""]
        row = split(R(role, mark, "ink", head), value, width, " ", "ink")
        if number == self._at and self.has_focus:
            row = grounded(fit([("▌", "accent"), *_without_first(row)], width), "sel")
        lines: list[Line] = [(row, fact.rows)]
        lines += [(R("ink", f"  {line}"), fact.rows) for line in more]
        if fact.rows == "bad":
            lines += self._bad_rows()
        return lines

    def _bad_rows(self) -> list[Line]:
        found = self._look.report.bad[:_BAD] if self._look is not None else []
        return [(R("accent", f"  :{bad.row}  ", "quiet", clean_line(bad.reason)), "bad") for bad in found]

    def _figure_rows(self, width: int) -> list[Row]:
        rows: list[Row] = [[]] if self._figures else []
        for name, value in self._figures:
            rows.append(split(R("quiet", name), R("strong b", f" {value}"), width, " ", "ink"))
            if name == "trained" and self._side is not None:
                rows.append(slim([(self._side.trained_tokens, "accent")], self._side.tokens, width))
        return rows

    # -- what keys and the mouse do ----------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """Choose another check."""
        self._at = max(0, min(len(self._facts) - 1, self._at + by))
        self.redraw()

    def action_open(self) -> None:
        """List the rows of the check."""
        if self._at < len(self._facts) and self._facts[self._at].rows:
            self.post_message(self.Wanted(self._facts[self._at].rows))

    def on_click(self, event: Click) -> None:
        """List the rows of the check under the mouse."""
        self.focus()
        at = event.y - self.gutter.top - 1
        if 0 <= at < len(self._filters) and self._filters[at]:
            self._at = next((n for n, fact in enumerate(self._facts) if fact.rows == self._filters[at]), self._at)
            self.action_open()
        self.redraw()

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Go down."""
        event.stop()
        self.action_move(1)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Go up."""
        event.stop()
        self.action_move(-1)


def _without_first(row: Row) -> Row:
    """Return a row without its first cell."""
    (text, role), *rest = row
    return [(text[1:], role), *rest]


class LengthsPane(DrawnPane):
    """How many sequences have how many tokens, and where the present example stands among them."""

    label = "Lengths"
    digit = "4"
    HELP = """
# Lengths

How many sequences have how many tokens; the bar of the example that is shown is in the accent colour. Where lengths
vary much, every bar stands for twice as many tokens as the one before.
"""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._side: Side | None = None
        self._length: int | None = None

    @property
    def meta(self) -> Row:
        """What is counted."""
        several = self._side is not None and self._side.several
        return R("quiet", "tokens per sequence" if several else "tokens per row") if self._side is not None else []

    def show(self, side: Side | None, length: int | None) -> None:
        """Show a split, and where a sequence of so many tokens stands in it."""
        if (side, length) != (self._side, self._length):
            self._side, self._length = side, length
            self.redraw()

    def body(self, width: int, height: int) -> list[Row]:
        """Return the bars, then the figures."""
        side = self._side
        if side is None:
            return []
        from tuitune.data.look_facts import lengths

        bins = side.histogram(max(3, min(_BINS, height - 3)))
        most = max((each.count for each in bins), default=1)
        names = [amount(each.low) if each.low >= 10_000 else f"{each.low:,}" for each in bins]
        margin = max(map(len, names), default=1)
        room = width - margin - 2 - len(f"{most:,}")
        rows: list[Row] = []
        for name, each in zip(names, bins, strict=True):
            here = self._length is not None and each.low <= self._length <= each.high
            bar = "━" * max(1, round(each.count / most * room)) if each.count else ""
            rows.append(R("accent" if here else "quiet", f"{name:>{margin}} ", "accent" if here else "runtime", bar,
                          "quiet", f" {each.count:,}"))  # fmt: skip
        figures = [span for name, value in lengths(side) for span in R("quiet", f"{name} ", "strong b", f"{value}   ")]
        this = (
            R("accent", "━ ", "quiet", f"this {'one' if side.several else 'row'}") if self._length is not None else []
        )
        return [*rows, [], figures, this]
