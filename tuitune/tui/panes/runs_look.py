"""How the user looks at curves that lie over each other, and which they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tuitune.face.curve import KINDS, SMOOTHING, Across, Kinds
from tuitune.tui.panes.runs_curve import Curve

T = TypeVar("T")
SMOOTHINGS = (0.0, 0.6, SMOOTHING, 0.97)


@dataclass(frozen=True)
class Look:
    """How the user looks at the curves; `figure` None is what tells most of the first run."""

    across: Across = "steps"
    log: bool = False
    smoothing: float = SMOOTHING
    kinds: Kinds = KINDS[0]
    figure: str | None = None
    zoom: int = 0
    right: float | None = None


@dataclass(frozen=True)
class Line:
    """A curve of the overlay: its number among the marked runs, its name, what is drawn."""

    number: int
    name: str
    curve: Curve


def lines_of(marked: Sequence[tuple[str, str]], curves: Mapping[str, Curve]) -> list[Line]:
    """Return the lines of runs (path, name) whose curves are known, numbered as they are marked."""
    return [Line(number, name, curves[path]) for number, (path, name) in enumerate(marked) if path in curves]


def after(values: Sequence[T], now: T) -> T:
    """Return the value that follows, the first one after the last."""
    return values[(values.index(now) + 1) % len(values)]
