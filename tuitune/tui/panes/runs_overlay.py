"""The Curves pane: the curves of several runs over each other."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from textual.binding import BindingType
from textual.events import MouseScrollDown, MouseScrollUp

from tuitune.face import figures
from tuitune.face.curve import ACROSS, KINDS, NO_LOG, TITLES
from tuitune.text import clean_line
from tuitune.tui.kit.axis import Scale, foot, scale
from tuitune.tui.kit.blocks import Blocks
from tuitune.tui.kit.bound import bound
from tuitune.tui.kit.chart import Kind, Series, Window, chart, ends
from tuitune.tui.kit.pane import DrawnPane
from tuitune.tui.kit.rows import R, Row, cut
from tuitune.tui.kit.wrapping import wrapped
from tuitune.tui.panes.runs_columns import COLOURS, LETTERS, listed
from tuitune.tui.panes.runs_look import SMOOTHINGS, Line, Look, after

_EDGE, _MOST_ZOOM = 6, 12
_BEFORE = 8  # cells before a name at the end of its curve: the value and the letter
_HELPS = {
    "without": "m: another figure", "learns": "m: another figure",
    "not evaluated": "E: the training", "no evaluation": "E: the training",
}  # fmt: skip
_KEYS = (
    ("plus,equals_sign,up", "zoom(1)", "Zoom in", "overlay.zoom_in", "half as many steps"),
    ("minus,down", "zoom(-1)", "Zoom out", "overlay.zoom_out", "twice as many steps"),
    ("left", "pan(-1)", "Earlier", "overlay.left", "earlier steps"),
    ("right", "pan(1)", "Later", "overlay.right", "later steps"),
    ("0", "whole", "All steps", "overlay.whole", "no zoom"),
)


class OverlayPane(DrawnPane):
    """Draws curves over each other, each with a letter at its end; give it the curves by `show`."""

    label = "Curves"
    digit = "2"
    HELP = """
# Curves

The curves of the marked runs, or of the one under the cursor: each has a colour, and its letter stands at its end.
◆ are evaluations. Runs that learn from rewards show the reward; runs that do not log the figure are named below.

- **x** steps, time or tokens along the foot; **l** logarithmic or linear values. The time is that of training:
  loading, pauses and the hours between two attempts take none, and steps that were made again count once
- **p** smoothing: none (as logged), .6, .9 or .97 of the past; **E** training, evaluations, or both
- **m** another figure; **+** **-** zoom, **left** **right** move, **0** everything
"""
    BINDINGS: ClassVar[list[BindingType]] = bound(_KEYS)

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.look = Look()
        self.waiting = ""  # what is being read
        self._lines: Sequence[Line] = ()
        self._more = 0

    def show(self, lines: Sequence[Line], *, more: int = 0, waiting: str = "") -> None:
        """Draw these curves; `more` are marked and have no colour left."""
        self._lines, self._more, self.waiting = lines, more, waiting
        self.redraw()

    @property
    def meta(self) -> Row:
        """How the curves are drawn."""
        look = self.look
        row = R("accent", "m ", "quiet", f"{clean_line(figures.word(self._figure))}  ") if self._lines else []
        row += R("quiet", f"smooth {look.smoothing:g}  ".replace("0.", ".") if look.smoothing else "as logged  ")
        row += R("quiet", f"{look.kinds}  ") if look.kinds != KINDS[0] else []
        row += R("quiet", f"zoom {2**look.zoom}  ") if look.zoom else []
        return row + R("accent", "x ", "quiet", f"{TITLES[look.across]}  ", "accent", "l ", "quiet", self._scale_word())

    def _scale_word(self) -> str:
        return "log" if self.look.log and self._figure == figures.LOSS else "linear"

    @property
    def _figure(self) -> str:
        return self._lines[0].curve.figure if self._lines else figures.LOSS

    # -- rows --------------------------------------------------------------------------------------------------

    def body(self, width: int, height: int) -> list[Row]:
        """Return the chart, its foot, and what is not in it."""
        drawn = [line for line in self._lines if not self._missing(line)]
        words = self._said([line for line in self._lines if line not in drawn])
        said = [R("quiet", cut(words, width))] if words else []
        side = 22 if width >= 84 else 17 if width >= 60 else 13
        wide = max(8, width - _EDGE - side)
        high = height - 1 - len(said)
        if not drawn or high < 2:
            return [R("quiet", line) for line in wrapped(words or self.waiting or _NOTHING, width)]
        window = self._window(drawn, wide)
        axis = self._scale(drawn, window, high)
        rows = chart(window, axis, self._series(drawn))
        places = ends(self._labels(drawn, side), axis, side)
        names = {row: cut(label, _EDGE - 1) for row, label in axis.marks}
        body = [R("quiet", f"{names.get(n, ''):>{_EDGE - 1}} ") + row + places.get(n, []) for n, row in enumerate(rows)]
        across = R("quiet", " " * _EDGE + foot(window.low, window.high, wide, self.look.across))
        return [*body, across, *said]

    def _missing(self, line: Line) -> str:
        """Return what a run has not, so that no curve of it is drawn; empty when it is drawn."""
        reason = line.curve.missing(self._figure, self.look.kinds)
        helps = next((key for start, key in _HELPS.items() if reason.startswith(start)), "")
        return f"{reason} ({helps})" if helps else reason

    def _said(self, left_out: Sequence[Line]) -> str:
        words = [self.waiting] if self.waiting and self._lines else []
        missing = [(self._missing(line), f"{LETTERS[line.number]} {line.name}") for line in left_out]
        for reason in dict.fromkeys(reason for reason, _ in missing):
            words.append(f"{reason}: {', '.join(name for each, name in missing if each == reason)}")
        if self._more:
            are = "is" if self._more == 1 else "are"
            words.append(f"{self._more} more {are} marked; {len(COLOURS)} curves can be told apart")
        return clean_line("; ".join(words))

    def _series(self, drawn: Sequence[Line]) -> list[Series]:
        """Return the curves, over them their evaluations, over these the letters at their ends."""
        curves, marks, letters = list[Series](), list[Series](), list[Series]()
        for line in drawn:
            role = COLOURS[line.number]
            xs, values = self._drawn(line)
            curves.append(Series(xs, values, role, "line" if self.look.kinds == "evaluation" else self._kind))
            if self.look.kinds != "training":
                at, tested = line.curve.evaluations(self.look.across)
                marks.append(Series(at, Blocks(tested), role, "marks"))
            letters.append(Series(xs[-1:], Blocks(values.values[-1:]), f"{role} b", "marks", LETTERS[line.number]))
        return [*curves, *marks, *letters]

    @property
    def _kind(self) -> Kind:
        return "bold" if self.look.smoothing else "line"

    def _drawn(self, line: Line) -> tuple[Sequence[float], Blocks]:
        """Return the points of a curve: of the training, or of the evaluations alone."""
        if self.look.kinds == "evaluation":
            at, tested = line.curve.evaluations(self.look.across)
            return at, Blocks(tested)
        return line.curve.xs(self.look.across), line.curve.drawn(self.look.smoothing)

    def _labels(self, drawn: Sequence[Line], side: int = 99) -> list[tuple[float, str, str]]:
        ended = [(line, values) for line in drawn if len(values := self._drawn(line)[1].values)]
        return [(values[-1], COLOURS[line.number], f"{LETTERS[line.number]} {listed(line.name, side - _BEFORE)}")
                for line, values in ended]  # fmt: skip

    # -- what is seen ------------------------------------------------------------------------------------------

    def _extent(self, drawn: Sequence[Line]) -> tuple[float, float]:
        high = max(line.curve.xs(self.look.across)[-1] for line in drawn)
        return 0.0, max(high, 1e-9)

    def _window(self, drawn: Sequence[Line], wide: int) -> Window:
        low, high = self._extent(drawn)
        if not self.look.zoom:
            return Window(low, high, wide)
        span = (high - low) / 2**self.look.zoom
        right = high if self.look.right is None else min(high, max(low + span, self.look.right))
        return Window(right - span, right, wide)

    def _scale(self, drawn: Sequence[Line], window: Window, high: int) -> Scale:
        values = [value for line in drawn for value in self._range(line, window)]
        low, top = min(values, default=0.0), max(values, default=1.0)
        if self.look.log and self._figure == figures.LOSS:  # other figures may be negative
            top = top if top > 0 else 1.0
            return scale(low if low > 0 else top * 1e-3, top, high, log=True)
        return scale(low, top, high)

    def _range(self, line: Line, window: Window) -> list[float]:
        look = self.look
        found: list[float] = []
        if look.kinds != "evaluation":
            seen = line.curve.drawn(look.smoothing).stretch(*_seen(line.curve.xs(look.across), window))
            found += [seen.low, seen.high]
        if look.kinds != "training":
            at, tested = line.curve.evaluations(look.across)
            found += [value for x, value in zip(at, tested, strict=True) if window.low <= x <= window.high]
        return [value for value in found if math.isfinite(value)]

    # -- what the keys do --------------------------------------------------------------------------------------

    def _see(self, **changes: object) -> None:
        self.look = replace(self.look, **changes)  # type: ignore[arg-type]
        self.redraw()

    def turn_across(self) -> None:
        """Change what stands along the foot."""
        self._see(across=after(ACROSS, self.look.across), zoom=0, right=None)

    def turn_log(self) -> None:
        """Change between logarithmic and linear values."""
        if self._figure != figures.LOSS:
            self.app.notify(NO_LOG, markup=False)
        else:
            self._see(log=not self.look.log)

    def turn_smoothing(self) -> None:
        """Take the next smoothing."""
        self._see(smoothing=next((each for each in SMOOTHINGS if each > self.look.smoothing), SMOOTHINGS[0]))

    def turn_kinds(self) -> None:
        """Show training, evaluations, or both."""
        self._see(kinds=after(KINDS, self.look.kinds))

    def action_zoom(self, more: int) -> None:
        """Show half or twice as much."""
        zoom = max(0, min(_MOST_ZOOM, self.look.zoom + more))
        self._see(zoom=zoom, right=self.look.right if zoom else None)

    def action_pan(self, way: int) -> None:
        """Show an earlier or a later part."""
        drawn = [line for line in self._lines if len(line.curve)]
        if not drawn or not self.look.zoom:
            return
        low, high = self._extent(drawn)
        span = (high - low) / 2**self.look.zoom
        right = (high if self.look.right is None else self.look.right) + way * span / 4
        self._see(right=None if right >= high else max(low + span, right))

    def action_whole(self) -> None:
        """End the zoom."""
        self._see(zoom=0, right=None)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Zoom in."""
        event.stop()
        self.action_zoom(1)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Zoom out."""
        event.stop()
        self.action_zoom(-1)


_NOTHING = "no curve yet: space in the list marks runs, whose curves are drawn over each other here"


def _seen(xs: Sequence[float], window: Window) -> tuple[int, int]:
    start, stop = bisect_left(xs, window.low), bisect_right(xs, window.high)
    return (start, stop) if start < stop else (max(0, start - 1), min(len(xs), stop + 1))
