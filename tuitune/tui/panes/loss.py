"""The Loss pane: the curve of the run, what belongs to it, and how to look at it."""

from __future__ import annotations

import time
from dataclasses import replace

from tuitune.face import figures
from tuitune.face.curve import TITLES
from tuitune.recipe import Recipe
from tuitune.text import clean_line
from tuitune.tui.kit.rows import R, Row
from tuitune.tui.panes.loss_actions import LossActions
from tuitune.tui.panes.loss_frame import EDGE, Summaries
from tuitune.tui.panes.loss_look import chosen
from tuitune.tui.panes.loss_plot import Plot
from tuitune.tui.panes.loss_words import before_first, no_run
from tuitune.tui.runview import RunView


class LossPane(LossActions):
    """Shows a run's loss; give it the run by `show`, twice a second."""

    label = "Loss"
    digit = "3"
    HELP = """
# Loss

The loss of each step (`loss`), its running mean (`smooth`) and the evaluations (◆ `eval`). What is not a number is a
gap. Stages that learn from rewards show the reward instead. Below: what tells most of the stage (margins, accuracies,
KL, ...) with its last evaluation ◆, learning rate, gradient norm, tokens per second, progress and time left. All share
one axis: the same column is the same step.

- **l** logarithmic or linear, **x** steps, time or tokens, **s** smoothing, **e** leave out the steep beginning
- **+** **-** zoom, **left** **right** move, **home** **end** first and last steps, **0** everything
- **m** another figure as the large curve, **M** the one before
- **shift+left**, **shift+right** or a click: a cursor; the right column then shows the values of that step

The time is that of training: loading, pauses and the hours between two attempts take none.
"""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._recipe: Recipe | None = None
        self._live_line: Row | None = None
        self._kept = Summaries()
        self._drawn: tuple[object, ...] = ()

    def show(self, view: RunView | None, recipe: Recipe | None) -> None:
        """Show `view`; `recipe` stands in where its own cannot be read. Draws only when there is something new."""
        if view is not self._view:
            self.look = replace(self.look, zoom=0, right=None, cursor=None, figure=None)
        self._view, self._recipe = view, (view.recipe if view is not None else None) or recipe
        if view is not None:
            view.curves.smoothing = self.smoothing
            view.curves.main = self.look.figure or figures.main(view.picture.stage)
            self._entitle(view)
        ticking = view is not None and view.status in ("created", "preparing", "training")
        sign = (view, view.revision if view else 0, id(self._recipe) if view else 0, int(time.time()) if ticking else 0)
        if sign != self._drawn:
            self._drawn = sign
            self.redraw()

    def show_live_line(self, row: Row | None) -> None:
        """Show a line of the last live answer at the foot of a narrow screen."""
        if row != self._live_line:
            self._live_line = row
            self.redraw()

    @property
    def meta(self) -> Row:
        """Epoch, or the step under the cursor; then how the curve is drawn."""
        view, look = self._drawing, self.look
        if view is None:
            return []
        row: Row = []
        if look.cursor is not None:
            row += R("accent b", f"step {view.curves.step[chosen(view, look)]:,.0f}  ")
        elif view.epoch is not None:
            row += R("quiet", f"epoch {view.epoch:.2f}", "faint", self._epochs(view) + "  ")
        row += R("quiet", f"smooth {self.smoothing:g}  ".replace("0.", "."))
        row += R("quiet", f"zoom {2**look.zoom}  ") if look.zoom else []
        row += R("quiet", f"{TITLES[look.across]}  ") if look.across != "steps" else []
        if look.figure is not None:
            row += R("accent", f"{clean_line(figures.word(view.curves.shown))}  ")
        log = look.log and view.curves.shown == figures.LOSS
        return row + R("quiet", ("log" if log else "linear") + (", late" if look.robust else ""))

    def _epochs(self, view: RunView) -> str:
        if self._recipe is not None and self._recipe.max_steps <= 0:
            return f" of {self._recipe.num_train_epochs:g}"
        return f" of {round(view.epochs, 2):g}" if view.epochs is not None else ""

    def body(self, width: int, height: int) -> list[Row]:
        """Return the rows of the pane."""
        view = self._view
        foot = self._foot()
        height -= len(foot)
        if view is None:
            rows = _inset(no_run(width - EDGE))
        elif not len(view.curves):
            rows = _inset(before_first(view, width - EDGE))
        else:
            rows = Plot(view, self.look, self._recipe, self._kept, width).rows(height)
        rows = rows[:height]
        return rows + [[]] * (height - len(rows)) + foot

    def _foot(self) -> list[Row]:
        if not self.screen.has_class("-narrow"):
            return []
        return [self._live_line or []]


def _inset(rows: list[Row]) -> list[Row]:
    return [[(" " * EDGE, "ink"), *row] if row else [] for row in rows]
