"""The Results pane: every figure with its interval, base and tuned beside each other, and what is clear about them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message

from tuitune.run.evaluation import Evaluation, Metric
from tuitune.text import clean
from tuitune.tui.evaluating import Found
from tuitune.tui.kit.bound import bound
from tuitune.tui.kit.pane import DrawnPane
from tuitune.tui.kit.rows import R, Row
from tuitune.tui.kit.wrapping import wrapped
from tuitune.tui.panes.eval_lines import Line, few_subjects, lines_of
from tuitune.tui.panes.eval_table import columns, head, metric_row
from tuitune.tui.panes.eval_told import above_table, below_table

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

_KEYS = (
    ("up,k", "move(-1)", "Up", "up", "the figure above"),
    ("down,j", "move(1)", "Down", "down", "the figure below"),
    ("pageup", "page(-1)", "Page up", "pageup", "a page up"),
    ("pagedown", "page(1)", "Page down", "pagedown", "a page down"),
    ("home,g", "edge(0)", "First", "first", "the first figure"),
    ("end,G", "edge(1)", "Last", "last", "the last figure"),
    ("enter", "open", "Its rows", "open", "the rows that are worst in this figure"),
    ("left", "older(1)", "Older", "older", "the evaluation before"),
    ("right", "older(-1)", "Newer", "newer", "the evaluation after"),
    ("y", "copy", "Copy", "copy", "copy the table"),
)
_STATES = {"running": ("accent", "at work"), "interrupted": ("warn", "interrupted: r goes on"), "done": ("quiet", "")}


class ResultsPane(DrawnPane):
    """Shows one evaluation; a figure leads to the rows behind it."""

    label = "Results"
    digit = "3"
    HELP = """
# Results

One row a figure, one column a model: its value, the interval of 95 % as numbers and drawn. The bars of a row share one
axis, so that you see whether they overlap. The last column is the difference between the tuned model and its base:
`✓` clearly better, `▼` clearly worse, `~` unclear (the interval of the difference holds zero: measure more rows).
`↓` less is better, `↑` more is better.

- **enter** the rows that are worst in this figure
- **b** each benchmark by subject
- **left** **right** older and newer evaluations, **e** chooses one
- **y** copies the table
"""
    BINDINGS: ClassVar[list[BindingType]] = bound(_KEYS, "results.")
    if TYPE_CHECKING:
        app: TuiTune

    class Opened(Message):
        """The rows behind a figure are asked for."""

        def __init__(self, metric: Metric) -> None:
            super().__init__()
            self.metric = metric

    class Older(Message):
        """An older evaluation is asked for, or a newer one."""

        def __init__(self, by: int) -> None:
            super().__init__()
            self.by = by

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.by_subject: bool | None = None  # None: where they are few
        self.found: Found | None = None
        self._place = (0, 0)  # which evaluation of how many
        self._empty: Sequence[tuple[str, str]] = ()
        self._lines: list[Line] = []
        self._at = self._top = 0
        self._spots: list[int] = []

    @property
    def meta(self) -> Row:
        """Which evaluation it is."""
        if self.found is None:
            return []
        found, (at, count) = self.found.evaluation, self._place
        role, state = _STATES[found.status]
        said = R(role, f"{state}  ") if state else []
        when = R("quiet", time.strftime("%Y-%m-%d %H:%M", time.localtime(found.created)))
        whom = R("accent", f"{self.found.checkpoint}  ") if self.found.checkpoint else []
        return [*said, *whom, *when, *(R("ink", f"  {at}", "quiet", f" of {count}") if count > 1 else [])]

    def show(self, found: Found | None, at: int, count: int) -> None:
        """Show an evaluation, number `at` of `count`; None says what to do."""
        other = found is None or self.found is None or found.evaluation.path != self.found.evaluation.path
        self.found, self._place = found, (at, count)
        self._fill()
        if other:
            self._at = self._top = 0
            self._at = next((n for n, line in enumerate(self._lines) if line.metric is not None), 0)
        self.redraw()

    def say(self, empty: Sequence[tuple[str, str]]) -> None:
        """Say this where there is no evaluation: lines, each with its role."""
        self._empty = empty
        self.redraw()

    def toggle_subjects(self) -> bool:
        """Show benchmarks by subject, or not; return whether there are any."""
        if self.found is None or not self.found.subjects:
            return False
        self.by_subject = not self._subjects_show
        self._fill()
        self.redraw()
        return True

    @property
    def metric(self) -> Metric | None:
        """The figure under the cursor."""
        return self._lines[self._at].metric if self._at < len(self._lines) else None

    def _fill(self) -> None:
        self._lines = list(lines_of(self.found, subjects=self._subjects_show)) if self.found is not None else []
        self._at = min(self._at, max(0, len(self._lines) - 1))

    @property
    def _subjects_show(self) -> bool:
        return few_subjects(self.found) if self.by_subject is None else self.by_subject

    # -- drawing -----------------------------------------------------------------------------------------------

    def body(self, width: int, height: int) -> list[Row]:
        """Return what is said of the whole, the table, and what the chosen figure is."""
        if self.found is None:
            return [R(role, line) for role, text in self._empty for line in (wrapped(clean(text), width) or [""])]
        found = self.found.evaluation
        above = above_table(self.found, width, height)
        below = below_table(found, self.metric, width, height)
        room = max(1, height - len(above) - 1 - (len(below) + 1 if below else 0))
        if room < min(3, len(self._lines)):
            below, room = [], max(1, height - len(above) - 1)
        rows = [*above, *self._table(found, width, room)]
        return [*rows, [], *below] if below else rows

    def _table(self, found: Evaluation, width: int, room: int) -> list[Row]:
        metrics = [line.metric for line in self._lines if line.metric is not None]
        if not metrics:
            return [R("quiet", "no figure is final yet" if found.status == "running" else "it has no figures")]
        shape = columns(found.models, metrics, width)
        self._top = max(min(self._top, self._at, len(self._lines) - room), self._at - room + 1, 0)
        if self._top == 1:
            self._top = 0 if self._at < room else 1
        self._spots = list(range(self._top, min(len(self._lines), self._top + room)))
        subject = found.models[0].key if found.models else ""
        rows = [head(shape, width)]
        for n in self._spots:
            line, here = self._lines[n], n == self._at and self.has_focus
            if line.metric is None:
                rows.append(R("accent" if here else "ink", "▌" if here else "", "quiet b", line.title))
            else:
                rows.append(metric_row(line.metric, shape, subject, width, here=here))
        return rows

    # -- what keys and the mouse do ----------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """Go to another figure; titles are passed over."""
        step = 1 if by > 0 else -1
        at = max(0, min(len(self._lines) - 1, self._at + by))
        while 0 <= at < len(self._lines) and self._lines[at].metric is None:
            at += step
        if 0 <= at < len(self._lines):
            self._at = at
            self.redraw()

    def action_page(self, by: int) -> None:
        """Go a page up or down."""
        self.action_move(by * max(1, len(self._spots) - 1))

    def action_edge(self, end: int) -> None:
        """Go to the first or the last figure."""
        self.action_move((1 if end else -1) * len(self._lines))

    def action_open(self) -> None:
        """Ask for the rows behind the figure."""
        if self.metric is not None:
            self.post_message(self.Opened(self.metric))

    def action_older(self, by: int) -> None:
        """Ask for another evaluation."""
        self.post_message(self.Older(by))

    def action_copy(self) -> None:
        """Copy the table as it stands in results.md, or as far as it is known."""
        if self.found is None:
            return
        report = self.found.evaluation.path / "results.md"
        try:
            self.app.copy(clean(report.read_text("utf-8")))
        except (OSError, UnicodeDecodeError):
            self.app.say("results.md is not written yet")

    def on_click(self, event: Click) -> None:
        """Choose the figure under the mouse; again asks for its rows."""
        focused = self.has_focus
        super().on_click(event)
        row = event.get_content_offset_capture(self).y
        at = self._at_row(row)
        if at is None or self._lines[at].metric is None:
            return
        again, self._at = focused and at == self._at, at
        self.redraw()
        if again:
            self.action_open()

    def _at_row(self, row: int) -> int | None:
        width, height = self.content_size
        if self.found is None or not self._spots:
            return None
        first = 2 + len(above_table(self.found, width, height - 1))
        return self._spots[row - first] if 0 <= row - first < len(self._spots) else None

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Go down."""
        event.stop()
        self.action_move(1)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Go up."""
        event.stop()
        self.action_move(-1)
