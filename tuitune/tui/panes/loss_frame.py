"""What the parts of a run's plot share: the steps that are seen, their columns, the cursor, summaries for drawing."""

from __future__ import annotations

from array import array

from tuitune.face import figures
from tuitune.tui.curves import Curves, EvalPoint
from tuitune.tui.kit.blocks import Blocks
from tuitune.tui.panes.loss_look import Look, across, chosen, place_of, window
from tuitune.tui.runview import RunView

EDGE = 6  # cells of the names
NARROW_SIDE = 15
_WIDE, _SIDE = 76, 17


def side_of(width: int) -> int:
    """Return the cells that the values now take."""
    return _SIDE if width >= _WIDE else NARROW_SIDE


def columns(width: int) -> int:
    """Return the cells that are left for the steps."""
    return max(8, width - EDGE - side_of(width))


class Summaries:
    """Blocks of the columns of one `Curves`, kept as long as it only grows."""

    def __init__(self) -> None:
        self._blocks: dict[str, Blocks] = {}
        self._sign: tuple[int, int, float] | None = None

    def of(self, curves: Curves, name: str) -> Blocks:
        """Return the summaries of a column."""
        sign = id(curves), curves.cuts, curves.smoothing
        if sign != self._sign:
            self._blocks, self._sign = {}, sign
        values = curves.column(name)
        found = self._blocks.get(name)
        if found is None or found.values is not values:
            found = self._blocks[name] = Blocks(values)
        return found


class Frame:
    """What a part of the plot stands in: one run in so many cells, for names, stretches of steps, the values now."""

    def __init__(self, view: RunView, look: Look, kept: Summaries, width: int) -> None:
        self.view, self.look, self.width = view, look, width
        self.curves, self._kept = view.curves, kept
        self.side = side_of(width)
        self.window = window(view, look, columns(width))
        self.main = self.curves.shown
        self.log = look.log and self.main == figures.LOSS  # other figures may be negative
        self.last = len(self.curves) - 1
        self.now = chosen(view, look)

    def _blocks(self, name: str) -> Blocks:
        """Return the summaries of a column of the run."""
        return self._kept.of(self.curves, name)

    def _xs(self) -> array[float]:
        """Return where the steps stand on the horizontal axis."""
        return across(self.curves, self.look.across)

    def _across(self, point: EvalPoint) -> float:
        """Return where an evaluation stands there."""
        return place_of(point, self.look.across)

    def _bounds(self, parts: int) -> list[int]:
        """Return the indices of the steps at which so many parts of what is seen begin and end."""
        return self.window.bounds(self._xs(), parts)

    def _seen(self) -> tuple[int, int]:
        """Return the indices of the steps that are seen, one at least."""
        bounds = self._bounds(1 + self.window.width * 2)
        start, stop = bounds[0], bounds[-1]
        return (start, stop) if start < stop else (max(0, start - 1), min(len(self.curves), stop + 1))
