"""What the Runs screen reads from the disk, in threads: the list, curves, recipes, the facts of one run."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from tuitune.errors import TuiTuneError
from tuitune.face.about import About, about
from tuitune.face.curve import SMOOTHING
from tuitune.face.difference import Terms, terms
from tuitune.run import RunDir
from tuitune.run.shelf import Entry, Shelf
from tuitune.tui.panes.runs_curve import Curve

T = TypeVar("T")
_SLICE = 0.15  # seconds of reading long journals between two looks at the list


class Desk:
    """Reads and remembers. Its methods may be called from any thread; what it returns is not changed afterwards,
    but for curves, which only the thread of the screen lets grow."""

    def __init__(self) -> None:
        self._shelf = Shelf()
        self._lock = threading.Lock()
        self._terms: dict[tuple[str, int], Terms] = {}

    def entries(self) -> list[Entry]:
        """Return every run."""
        with self._lock:
            return self._shelf.entries()

    def deepen(self) -> list[Entry] | None:
        """Read on in long journals for a moment; return the runs as they are known then, None when all are read."""
        with self._lock:
            until, any_read = time.monotonic() + _SLICE, False
            while time.monotonic() < until and self._shelf.deepen():
                any_read = True
            return self._shelf.entries() if any_read else None

    def about(self, run: RunDir) -> About | None:
        """Return everything about a run, None when it is gone."""
        try:
            with self._lock:
                return about(run, self._shelf)
        except (OSError, TuiTuneError):
            return None

    def terms(self, runs: Sequence[RunDir]) -> list[Terms]:
        """Return what holds for runs; read once for each state of a recipe."""
        return [self._of(run) for run in runs]

    def _of(self, run: RunDir) -> Terms:
        try:
            key = str(run.path), run.recipe.stat().st_mtime_ns
        except OSError:
            return terms(run)
        if key not in self._terms:
            self._terms[key] = terms(run)
        return self._terms[key]

    def curves(self, runs: Sequence[RunDir], figure: str | None, tell: Callable[[Curve], None]) -> None:
        """Read the curves of runs and tell each as soon as it is there."""
        for run in runs:
            curve = Curve(run, figure)
            curve.read()
            curve.drawn(SMOOTHING)  # smoothed here rather than while the screen waits
            tell(curve)
