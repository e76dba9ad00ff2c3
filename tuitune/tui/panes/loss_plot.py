"""The curve, the sparklines and the progress of a run as rows: three columns hold for everything.

Names, steps, values now: a column of the chart, of each sparkline and of the axis below them is the same step.
"""

from __future__ import annotations

from tuitune.recipe import Recipe
from tuitune.tui.kit.rows import Row
from tuitune.tui.panes.loss_chart import Chart
from tuitune.tui.panes.loss_frame import EDGE, Summaries
from tuitune.tui.panes.loss_look import Look
from tuitune.tui.panes.loss_sparks import Below
from tuitune.tui.panes.loss_words import notes
from tuitune.tui.runview import RunView

_ROOMY = 14  # rows of a chart beside which there is room for figures that tell less


class Plot:
    """The figures of one run, drawn into so many cells."""

    def __init__(self, view: RunView, look: Look, recipe: Recipe | None, kept: Summaries, width: int) -> None:
        self._view, self._width = view, width
        self._chart = Chart(view, look, kept, width)
        self._below = Below(view, look, kept, width, recipe)

    def rows(self, height: int) -> list[Row]:
        """Return everything; what there is no room for goes in this order: lesser figures, gaps, sparklines, axis."""
        said = notes(self._view, self._width - EDGE, most=max(1, min(4, height // 5)))
        room = height - 1 - len(said)
        sparks = self._below.sparks()
        gaps = 2
        while gaps and room - 1 - gaps - len(sparks) < 6:
            gaps -= 1
        while sparks and room - 1 - gaps - len(sparks) < 4:
            sparks.pop()
        spare = room - 1 - gaps - len(sparks) - max(_ROOMY, room // 2)
        sparks += self._below.lesser(spare) if gaps == 2 else []
        axis = [self._below.foot()] if room >= 4 else []
        high = room - len(axis) - gaps - len(sparks)
        rows = self._chart.rows(high) if high >= 2 else []
        rows += [*axis, *([[]] if gaps else []), *sparks, *([[]] if gaps == 2 else []), self._below.progress()]
        return rows + [[(" " * EDGE, "ink"), *row] for row in said]
