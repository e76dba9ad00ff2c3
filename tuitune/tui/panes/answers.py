"""The Answers pane: what the model in training answered to prompts of the data, and what that was worth."""

from __future__ import annotations

import math
from typing import ClassVar

from textual.binding import BindingType

from tuitune.text import clean_line
from tuitune.tui.kit.rows import R, Row, cut, slim, split, width_of
from tuitune.tui.kit.units import fixed
from tuitune.tui.panes.listing import ListPane, list_keys
from tuitune.tui.panes.wrapping import wrapped
from tuitune.tui.runview import RunView
from tuitune.tui.samples import Judged, Sample, Spot

_BAR = 8
_INDENT = 2
_ROOMY = 84  # cells from which the parts of a reward stand beside it
_REFERENCE = 24


class AnswersPane(ListPane[Spot]):
    """Lists the answers that a run learns from; give it the run by `show`, twice a second."""

    label = "Answers"
    digit = "7"
    HELP = """
# Answers

Stages that learn from rewards (`ppo`, `grpo`, `rloo`) let the model in training answer prompts of the data. Here are
some of them, the newest prompt first: step, prompt, and what the data answers; below, each answer from the best to the
worst, with its reward and what each reward function said.

- **up** **down** choose a line, **enter** shows all of it, **y** copies it
- **z** gives this pane the whole screen; **4** brings the chat back to its place
"""
    BINDINGS: ClassVar[list[BindingType]] = list_keys("answers")

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._view: RunView | None = None
        self._drawn: tuple[object, ...] = ()
        self._range = (0.0, 1.0)

    @property
    def meta(self) -> Row:
        """What is listed."""
        count = len(self._view.samples) if self._view is not None else 0
        return R("quiet", f"{count} prompts, newest first") if count else []

    def show(self, view: RunView | None) -> None:
        """Show the answers of `view`; reads them only while it is seen, and draws only when there is something new."""
        if view is not self._view:
            self._view, self._drawn = view, ()
            self.restart([])
        sign = (view, view.samples.revision if view is not None else 0)
        if sign != self._drawn and self.display and self.region.area:
            self._drawn = sign
            spots = view.samples.spots() if view is not None else []
            known = [reward for spot in spots if spot.answer is None for reward in spot.sample.rewards]
            self._range = min(0.0, *known) if known else 0.0, max(known, default=1.0)
            self.take(spots)

    def on_resize(self) -> None:
        """Show what has come while it was hidden, at once."""
        self.show(self._view)

    def nothing(self) -> str:
        """Return what is said where there are no answers."""
        return (
            "The answers that a run learns from appear here, with their rewards: stages ppo, grpo and rloo. "
            "4 goes back to the chat."
        )

    def text_of(self, item: Spot) -> str:
        """Return a prompt or an answer."""
        return item.sample.prompt if item.answer is None else item.answer.text

    def lines_of(self, item: Spot, width: int, *, chosen: bool, opened: bool) -> list[Row]:
        """Return the row of a prompt or an answer, or all of it."""
        edge = R("accent", "▌ " if chosen else "  ")
        if item.answer is None:
            return self._whole_prompt(item.sample, edge, width) if opened else [_prompt(item.sample, edge, width)]
        edge = [*edge, (" " * _INDENT, "ink")]
        if opened:
            return self._whole_answer(item.answer, edge, width)
        best = item.answer is item.sample.answers[0]
        row = [*edge, *self._worth(item.answer, best=best)]
        row += _parts(item.answer) if width >= _ROOMY else []
        return [[*row, ("  ", "ink"), (clean_line(item.answer.text), "ink")]]

    def _worth(self, answer: Judged, *, best: bool) -> Row:
        low, high = self._range
        if not math.isfinite(answer.reward):
            return [*slim([], 1.0, _BAR), *R("quiet", f" {'none':<6}")]
        bar = slim([(answer.reward - low, "accent" if best else "spark")], high - low or 1.0, _BAR)
        return [*bar, *R("strong b" if best else "ink", f" {fixed(answer.reward, 2):<6}")]

    def _whole_prompt(self, sample: Sample, edge: Row, width: int) -> list[Row]:
        rows = [_prompt(sample, edge, width)]
        rows += _indented(wrapped([(sample.prompt, "strong")], width - 4))
        if sample.reference:
            rows += _indented(wrapped([("the data answers: ", "quiet"), (sample.reference, "ink")], width - 4))
        return rows

    def _whole_answer(self, answer: Judged, edge: Row, width: int) -> list[Row]:
        head = [*edge, *self._worth(answer, best=True), *_parts(answer)]
        return [head, *_indented(wrapped([(answer.text or "(nothing)", "ink")], width - 6), 6)]


def _prompt(sample: Sample, edge: Row, width: int) -> Row:
    reference = clean_line(sample.reference)
    known = sample.rewards
    mean = f"mean {fixed(sum(known) / len(known), 2)}" if known else "no rewards"
    right = R("quiet", f"  {cut(reference, _REFERENCE)}  " if reference else "  ", "quiet", mean)
    left = [*edge, *R("quiet", f"{sample.step:,}  ", "strong", clean_line(sample.prompt))]
    return split(left, right, width, " ", "ink") if width >= width_of(right) + 20 else left


def _parts(answer: Judged) -> Row:
    row: Row = []
    for name, value in answer.parts if len(answer.parts) > 1 else ():
        said = fixed(value, 2) if math.isfinite(value) else "none"
        row += R("quiet", f" {name} ", "ink", said)
    return row


def _indented(rows: list[Row], by: int = 4) -> list[Row]:
    return [[(" " * by, "ink"), *row] for row in rows]
