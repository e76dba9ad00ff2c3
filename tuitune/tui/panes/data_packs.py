"""The Batches pane: what goes through the model together: packs and how full they are, or the rows of a step."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message

from tuitune.tui.kit.bound import bound
from tuitune.tui.kit.pane import DrawnPane
from tuitune.tui.kit.rows import R, Row, cells, fit, grounded, split, width_of
from tuitune.tui.kit.wrapping import wrapped

if TYPE_CHECKING:
    from tuitune.data.look_side import Side

_END = 1 << 60
_ROLES = ("weights", "optim", "activ", "logits", "grads")  # neighbours differ
_KEYS = (
    ("up,k", "move(-1)", "Up", "batches.up", "the one above"),
    ("down,j", "move(1)", "Down", "batches.down", "the one below"),
    ("pageup", "page(-1)", "Page up", "batches.pageup", "a page up"),
    ("pagedown,space", "page(1)", "Page down", "batches.pagedown", "a page down"),
    ("home,g", f"move({-_END})", "First", "batches.first", "the first one"),
    ("end,G", f"move({_END})", "Last", "batches.last", "the last one"),
    ("enter", "open", "Its tokens", "batches.open", "go to the tokens of its first row"),
)


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences that go together: the first example, the tokens of each sequence, and what all of it is held against.

    most: cutoff_len for a pack, what padding would make of it for a step.
    """

    first: int
    lengths: tuple[int, ...]
    most: int

    @property
    def tokens(self) -> int:
        """Tokens of all its sequences."""
        return sum(self.lengths)


class BatchesPane(DrawnPane):
    """Packs or steps, one on a line, the sequences in them as stretches of a bar."""

    label = "Batches"
    HELP = """
# Batches

With packing: every pack with its sequences, and how full it is. Sequences in a pack never see each other.

Without: the rows of a step in the order of the files (training shuffles them). They lie end to end, so nothing is
computed for padding; the rest of the line is what a trainer would add that pads every row to the longest of its
micro-batch.
"""
    BINDINGS: ClassVar[list[BindingType]] = bound(_KEYS)

    class Opened(Message):
        """The tokens of an example are asked for."""

        def __init__(self, place: int) -> None:
            super().__init__()
            self.place = place

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._side: Side | None = None
        self._at, self._top, self._above = 0, 0, 0

    def __len__(self) -> int:
        side = self._side
        if side is None:
            return 0
        return len(side) if side.packs is not None else side.steps_per_epoch

    @property
    def meta(self) -> Row:
        """How many there are."""
        if self._side is None:
            return []
        packs = self._side.packs
        if packs is None:
            return R("quiet", "rows of a step, in the order of the files")
        return R("strong b", f"{packs.fullness:.0%}".replace("%", " %"), "quiet", " full on average")

    def show(self, side: Side | None, place: int | None) -> None:
        """Show those of a split, the cursor on the one with an example."""
        self._side = side
        if side is not None and place is not None:
            self._at = place if side.packs is not None else place // max(1, side.setting.rows_per_step)
        self._at = max(0, min(self._at, len(self) - 1))
        self.redraw()

    def body(self, width: int, height: int) -> list[Row]:
        """Return the lines around the cursor."""
        side = self._side
        if side is None or not len(self):
            return []
        words = "packs: sequences that do not see each other" if side.packs is not None else _about(side)
        columns = R("quiet", " tokens   full   of")
        about = wrapped(words, width - width_of(columns))
        head: list[Row] = [R("quiet", line) for line in about[:-1]]
        head.append(split(R("quiet", about[-1]), columns, width, " ", "ink"))
        self._above = 1 + len(head)
        room = max(1, height - len(head))
        self._top = max(min(self._top, self._at, len(self) - room), self._at - room + 1, 0)
        seen = list(range(self._top, min(len(self), self._top + room)))
        batches = [self._batch(side, number) for number in seen]
        widest = max(batch.most for batch in batches)
        rows = [self._row(n, batch, widest, width) for n, batch in zip(seen, batches, strict=True)]
        return [*head, *rows]

    def _batch(self, side: Side, number: int) -> Batch:
        starts, lengths, setting = side.examples.starts, side.sequences, side.setting
        per = 1 if side.packs is not None else max(1, setting.rows_per_step)
        first, last = number * per, min(len(side), (number + 1) * per)
        own = tuple(int(each) for each in lengths[int(starts[first]) : int(starts[last])])
        if side.packs is not None:
            return Batch(first, own, max(setting.cutoff_len, sum(own)))
        padded = 0
        for low in range(first, last, max(1, setting.batch)):
            high = min(last, low + max(1, setting.batch))
            some = lengths[int(starts[low]) : int(starts[high])]
            padded += int(some.max()) * len(some) if len(some) else 0
        return Batch(first, own, padded)

    def _row(self, number: int, batch: Batch, widest: int, width: int) -> Row:
        digits = len(f"{len(self):,}")
        share = f"{batch.tokens / batch.most:.0%}".replace("%", " %") if batch.most else ""
        value = f" {batch.tokens:>7,} {share:>6}  {len(batch.lengths):>3}"
        bar = list(self._bar(batch, widest, width - digits - 4 - cells(value)))
        row = [*R("quiet", f" {number + 1:>{digits},} "), *bar, *R("ink", value)]
        if number != self._at:
            return [(" ", "ink"), *row]
        return grounded(fit([("▌", "accent"), *row], width), "sel")

    def _bar(self, batch: Batch, widest: int, width: int) -> Iterator[tuple[str, str]]:
        """Yield the stretches of a bar: sequences, what is left to `most`, and blanks to the widest."""
        begun = 0
        for number, length in enumerate(batch.lengths):
            end = begun + length
            size = round(end / widest * width) - round(begun / widest * width)
            yield "━" * size, _ROLES[number % len(_ROLES)]
            begun = end
        rest = round(batch.most / widest * width) - round(begun / widest * width)
        yield "─" * rest, "hair"
        yield " " * (width - round(batch.most / widest * width)), "ink"

    # -- what keys and the mouse do ----------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """Go to another one."""
        self._at = max(0, min(len(self) - 1, self._at + by))
        self.redraw()

    def action_page(self, by: int) -> None:
        """Go a page further."""
        self.action_move(by * max(1, self.content_size.height - 4))

    def action_open(self) -> None:
        """Ask for the tokens of the first row."""
        if self._side is not None and len(self):
            self.post_message(self.Opened(self._batch(self._side, self._at).first))

    def on_click(self, event: Click) -> None:
        """Choose one; the second click goes to its tokens."""
        self.focus()
        at = self._top + event.y - self.gutter.top - self._above
        if self._top <= at < len(self):
            again = event.chain >= 2 and at == self._at
            self.action_move(at - self._at)
            if again:
                self.action_open()

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Go down."""
        event.stop()
        self.action_move(1)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Go up."""
        event.stop()
        self.action_move(-1)


def _about(side: Side) -> str:
    rows = side.setting.rows_per_step
    return f"steps of {rows:,} {'row' if rows == 1 else 'rows'} end to end, against what padding would make of them"
