"""How the user looks at a curve, and what the keys make of it: zoom, the part that is seen, the cursor."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from dataclasses import dataclass, replace

from tuitune.face import figures
from tuitune.face.curve import Across
from tuitune.tui.curves import Curves, EvalPoint
from tuitune.tui.kit.chart import Window
from tuitune.tui.runview import RunView

_MOST_ZOOM = 12
_PAN = 8  # a part of what is seen


@dataclass(frozen=True)
class Look:
    """How the user looks at the curve; `right` is where the part that is seen ends, None follows the run."""

    across: Across = "steps"
    log: bool = False
    robust: bool = False
    whole: bool = False
    zoom: int = 0  # how often it was doubled
    right: float | None = None
    cursor: float | None = None  # a step
    figure: str | None = None  # what the large curve shows; None: what tells most of the stage


def across(curves: Curves, kind: Across) -> array[float]:
    """Return what stands on the horizontal axis for each logged step."""
    return {"steps": curves.step, "time": curves.seconds, "tokens": curves.tokens}[kind]


def place_of(point: EvalPoint, kind: Across) -> float:
    """Return where an evaluation stands on the horizontal axis."""
    return {"steps": float(point.step), "time": point.seconds, "tokens": point.tokens}[kind]


def extent(view: RunView, look: Look) -> tuple[float, float]:
    """Return both ends of the horizontal axis without any zoom."""
    xs = across(view.curves, look.across)
    first, last = xs[0], xs[-1]
    step, total = view.curves.step[-1], view.picture.total
    if look.whole and total and step > 0:
        last = max(last, last * total / step)
    # A run that went on from another one's checkpoint has nothing to show before that.
    low = float(view.begin or 0) if look.across == "steps" else 0.0
    return min(low, first), last


def window(view: RunView, look: Look, width: int) -> Window:
    """Return the part of the run that is seen."""
    low, high = extent(view, look)
    if look.zoom:
        span = (high - low) / 2**look.zoom
        right = high if look.right is None else min(high, max(low + span, look.right))
        return Window(right - span, right, width)
    return Window(low, high, width)


def chosen(view: RunView, look: Look) -> int:
    """Return the index of the step under the cursor, or of the last one."""
    steps = view.curves.step
    return len(steps) - 1 if look.cursor is None else max(0, bisect_right(steps, look.cursor) - 1)


def zoomed(view: RunView, look: Look, more: int) -> Look:
    """Show twice or half as much, around the cursor or where it ended."""
    zoom = max(0, min(_MOST_ZOOM, look.zoom + more))
    right = look.right if zoom else None
    if look.cursor is not None and zoom:
        low, high = extent(view, look)
        right = across(view.curves, look.across)[chosen(view, look)] + (high - low) / 2**zoom / 2
    return replace(look, zoom=zoom, right=right)


def panned(view: RunView, look: Look, way: int) -> Look:
    """Show an earlier or a later part."""
    _, high = extent(view, look)
    seen = window(view, look, 1)
    span = seen.high - seen.low
    right = seen.high + way * span / _PAN
    return replace(look, right=None if right >= high else right)


def jumped(view: RunView, look: Look, end: int) -> Look:
    """Show the first steps (0) or the last ones (-1), the cursor among them."""
    cursor = view.curves.step[end] if look.cursor is not None else None
    return replace(look, right=extent(view, look)[0] if end == 0 else None, cursor=cursor)


def following(view: RunView, name: str, way: int) -> str:
    """Return the figure after or before the one called `name` that the large curve can show."""
    stage, known = view.picture.stage, [*view.curves.metrics]
    own = [figures.main(stage), figures.LOSS, *figures.telling(stage, known), *figures.others(stage, known)]
    names = [each for each in dict.fromkeys(own) if each == figures.LOSS or each in known]
    return names[(names.index(name) + way) % len(names)] if name in names else names[0]


def moved(view: RunView, look: Look, seen: Window, way: int) -> Look:
    """Move the cursor by one column, and by one logged step at least; what is seen goes with it."""
    steps, xs = view.curves.step, across(view.curves, look.across)
    if look.cursor is None:
        return pointed(view, look, seen, seen.width - 1)
    now = chosen(view, look)
    wished = bisect_right(xs, xs[now] + way * (seen.high - seen.low) / max(1, seen.width - 1)) - 1
    index = max(0, min(len(steps) - 1, min(wished, now - 1) if way < 0 else max(wished, now + 1)))
    right = look.right
    if look.zoom and not seen.low <= xs[index] <= seen.high:
        right = xs[index] + (seen.high - seen.low) / 2
    return replace(look, cursor=steps[index], right=right)


def pointed(view: RunView, look: Look, seen: Window, column: int) -> Look:
    """Set the cursor to the last step that was logged before a column ends."""
    x = seen.low + (seen.high - seen.low) * (column + 0.5) / max(1, seen.width - 1)
    index = max(0, bisect_right(across(view.curves, look.across), x) - 1)
    return replace(look, cursor=view.curves.step[index])
