"""What an export will write and take, and the exports that were made before."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from tuitune.export.outline import Outline
from tuitune.face import words
from tuitune.text import clean, clean_line
from tuitune.tui.exporting import Earlier, Plan
from tuitune.tui.kit.pane import DrawnPane
from tuitune.tui.kit.rows import R, Row, slim, split
from tuitune.tui.kit.units import lasting
from tuitune.tui.kit.wrapping import wrapped
from tuitune.tui.panes.listing import ListPane, list_keys
from tuitune.tui.subjects import named

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

_NAMES = 9
_BAR = 30
_EVERY = 1.0  # seconds between two looks at how long ago an export was made
_BOUNDS = (
    "The merged model must answer as the model with its adapter; the files read again as the merged model; what is "
    "rounded to few bits within a bound that is shown with what was measured. Else nothing is written."
)


class PlanPane(DrawnPane):
    """What would be written, and what it takes of disk and memory."""

    label = "What it takes"
    digit = "3"
    HELP = """
# What it takes

How large the result will be, how much disk and memory are needed while it is made, and what is free now. What would
refuse the export stands in red. **y** copies the command that does the same.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "Copy", show=False, id="takes.copy", tooltip="copy the command that does the same")
    ]
    if TYPE_CHECKING:
        app: TuiTune

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.plan: Plan | None = None

    def know(self, plan: Plan) -> None:
        """Show another plan."""
        self.plan = plan
        self.redraw()

    def body(self, width: int, height: int) -> list[Row]:
        """Return the plan, with the command and the words on checking where there is room."""
        return [R("quiet", "looking")] if self.plan is None else plan_rows(self.plan, width, height)

    def action_copy(self) -> None:
        """Copy the command."""
        if self.plan is not None and self.plan.argv:
            self.app.copy(self.plan.command)


def plan_rows(plan: Plan, width: int, height: int, *, brief: bool = False) -> list[Row]:
    """Return a plan; brief: without what stands elsewhere."""
    rows = [] if brief else list(_head(plan, width))
    rows += _sizes(plan.outline, width) if plan.outline is not None else []
    for text in plan.trouble:
        rows += [R("error", line) for line in wrapped(clean(text), width)]
    if not plan.trouble:
        rows += [[], R("accent", "s", "quiet", " writes it")]
    for text, role in ((_BOUNDS, "quiet"), (clean(plan.command) if plan.argv else "", "faint")):
        told = [R(role, line) for line in wrapped(text, min(width, 100))] if text else []
        if told and len(rows) + len(told) + 1 <= height:
            rows += [[], *told]
    return rows[:height]


def _head(plan: Plan, width: int) -> Iterator[Row]:
    order = plan.order
    if order is None:
        return
    yield R("strong b", clean_line(order.weights.title.replace(order.weights.model, named(order.weights.model))))
    if order.weights.adapters:
        yield R("quiet", f"merged into {named(order.weights.model)}")
    yield []
    yield _fact("as", order.form_words)
    yield _fact("to", clean_line(str(order.out)))


def _fact(name: str, text: str) -> Row:
    return R("quiet", f"{name:<{_NAMES}}", "ink", text)


def _sizes(made: Outline, width: int) -> Iterator[Row]:
    if made.size is None:
        yield _fact("size", "not known before the model is fetched")
        return
    yield _fact("size", f"about {words.size(made.size)}")
    if made.parameters:
        yield _fact("weights", f"{made.parameters:,}")
    if made.disk is not None and made.disk_free is not None:
        yield _against("disk", made.disk, made.disk_free, width)
    if made.memory is not None:
        yield _against("memory", made.memory, made.memory_free, width)


def _against(name: str, need: int, free: int, width: int) -> Row:
    """Return a bar of what is needed of what is free."""
    role = "error" if need > free else "warn" if need > 0.8 * free else "accent"
    said = f"  {words.size(need)} of {words.size(free)} free"
    bar = max(0, min(_BAR, width - _NAMES - len(said)))
    return [*R("quiet", f"{name:<{_NAMES}}"), *slim([(float(min(need, free)), role)], float(max(1, free)), bar),
            *R("ink" if need <= free else "error", said)]  # fmt: skip


class EarlierPane(ListPane[Earlier]):
    """The exports that were made of the subject; those whose folder is gone are left out."""

    label = "Made before"
    digit = "4"
    HELP = """
# Made before

The exports of this model that still lie where they were written, the newest first.

- **enter** what was checked, and commands that use it
- **y** copies those commands
"""
    BINDINGS: ClassVar[list[BindingType]] = list_keys("made")
    _ages: tuple[str, ...] = ()  # as they stand there

    def on_mount(self) -> None:
        """Let the ages grow."""
        self.set_interval(_EVERY, self.grow)

    def grow(self) -> None:
        """Draw the ages that have changed."""
        ages = tuple(map(_age, self._items))
        if ages != self._ages:
            self._ages = ages
            self.redraw()

    def know(self, plan: Plan) -> None:
        """Show those of another plan."""
        if [each.done for each in plan.earlier] != [each.done for each in self._items]:
            self.restart(plan.earlier)

    def open_newest(self) -> None:
        """Show all of the newest one."""
        self._at, self._opened = 0, self._items[0] if self._items else None
        self.redraw()

    @property
    def meta(self) -> Row:
        """How many there are."""
        return R("quiet", f"{len(self._items)}") if self._items else []

    def nothing(self) -> str:
        """Return what is said where there are none."""
        return "This model was not exported yet."

    def text_of(self, item: Earlier) -> str:
        """Return the commands that use it."""
        return clean("\n".join(item.commands))

    def lines_of(self, item: Earlier, width: int, *, chosen: bool, opened: bool) -> list[Row]:
        """Return one row; all there is to know of the opened one."""
        done = item.done
        name = clean_line(done.path.rpartition("/")[2])
        left = R(
            "ok", "✓ ", "strong b" if chosen else "ink", name, "quiet", f"  {done.number}, {words.size(done.size)}"
        )
        rows = [split(left, R("quiet", f"  {_age(item)}"), width, " ", "ink")]
        if not opened:
            return rows
        texts = [("ink", done.path), *(("quiet", each) for each in item.checks)]
        for role, text in texts:
            rows += [R(role, f"  {line}") for line in wrapped(clean(text), width - 2)]
        for command in item.commands:
            rows += [R("accent" if n == 0 else "ink", "  $ " if n == 0 else "    ", "ink", line)
                     for n, line in enumerate(wrapped(clean(command), width - 4))]  # fmt: skip
        return rows


def _age(item: Earlier) -> str:
    return f"{lasting(max(0.0, time.time() - item.done.made))} ago"
