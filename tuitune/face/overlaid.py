"""One picture of the curves of several runs, PNG or SVG: what the Runs screen lays over each other, as a file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.engine.plot import KINDS as FILES
from tuitune.engine.plot import columns, plain_words, saved, sheet
from tuitune.errors import RunError, UsageError
from tuitune.face import figures
from tuitune.face.curve import KINDS, LETTERS, NO_LOG, SMOOTHING, Across, Kinds, RunCurve
from tuitune.run import RunDir
from tuitune.run.files import write_atomic
from tuitune.run.shelf import Shelf
from tuitune.text import clean_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Page

    from tuitune.run.journal import Point

_COLOURS = ("#1f5fa8", "#c4501b", "#2a8a57", "#8b4fb0", "#b3892b", "#3aa6c4", "#c2417f", "#5a5a5a")
_LONGEST_NAME = 60
_FEW = 30  # points of a line, below which each is marked
# From so many seconds on: the unit of the axis, and its seconds.
_UNITS = (
    (2 * 86400, "days", 86400.0), (2 * 3600, "hours", 3600.0), (120, "minutes", 60.0), (0, "seconds", 1.0)
)  # fmt: skip


@dataclass(frozen=True)
class Wish:
    """How the curves are drawn. figure: a name of the journal or its word; None is what tells most of the first."""

    figure: str | None = None
    across: Across = "steps"
    smoothing: float = SMOOTHING
    log: bool = False
    kinds: Kinds = KINDS[0]


def overlaid(runs: Sequence[RunDir], out: Path, wish: Wish) -> list[str]:
    """Draw the curves of runs into one file; return a sentence for each kind of run that is left out.

    Raises UsageError for what cannot be drawn at all, RunError where nothing is to be drawn or written.
    """
    if len(runs) > len(LETTERS):
        raise UsageError(f"{len(runs)} curves cannot be told apart", f"name at most {len(LETTERS)} runs")
    figure = _figure(runs, wish.figure)
    if wish.log and figure != figures.LOSS:
        raise UsageError(NO_LOG, "leave --log out, or draw the loss: --figure loss")
    # Where none is asked for, each shows what tells most of it: a loss is not laid over a reward, nor over such a loss.
    curves = [RunCurve(run, figure if wish.figure else None) for run in runs]
    for curve in curves:
        curve.read()
    drawn = {n: curve for n, curve in enumerate(curves) if not curve.missing(figure, wish.kinds)}
    left = _left_out(curves, figure, wish.kinds)
    if not drawn:
        raise RunError(f"there is nothing to draw: {'; '.join(left)}", _known(runs))
    try:
        write_atomic(out, _drawn(drawn, figure, wish, out.suffix.lower().removeprefix(".")))
    except OSError as error:
        raise RunError(f"{out} cannot be written: {error.strerror}", "name a file in a folder that is there") from error
    return left


def is_picture(out: Path) -> bool:
    """Tell whether a name is that of one picture. Raises UsageError for a kind that is not drawn."""
    kind = out.suffix.lower().removeprefix(".")
    if kind in ("pdf", "jpg", "jpeg", "webp", "gif", "eps", "ps") and not out.is_dir():
        raise UsageError(f"{out.name} is no picture that can be drawn", "pictures are .png or .svg")
    return kind in FILES and not out.is_dir()


def _figure(runs: Sequence[RunDir], asked: str | None) -> str:
    """Return the journal's name of the figure that is asked for, or that tells most of the first run."""
    shelf = Shelf()
    if asked is None:
        return figures.main(shelf.entry(runs[0]).facts.stage)
    names = _names(runs, shelf)
    if asked in names:
        return asked
    meant = [name for name in names if figures.word(name) == asked]
    if len(meant) != 1:
        raise UsageError(f"these runs log no figure {asked!r:.60}", _known(runs))
    return meant[0]


def _names(runs: Sequence[RunDir], shelf: Shelf) -> list[str]:
    found = (name for run in runs for name in shelf.entry(run).facts.metrics)
    return list(dict.fromkeys([figures.LOSS, *found]))


def _known(runs: Sequence[RunDir]) -> str:
    return clean_line(f"they log {', '.join(_names(runs, Shelf()))}")


def _left_out(curves: Sequence[RunCurve], figure: str, kinds: Kinds) -> list[str]:
    found: dict[str, list[str]] = {}
    for curve in curves:
        if reason := curve.missing(figure, kinds):
            found.setdefault(reason, []).append(curve.run.name)
    return [f"{reason}: {', '.join(names)}" for reason, names in found.items()]


def _drawn(drawn: Mapping[int, RunCurve], figure: str, wish: Wish, kind: str) -> bytes:
    from matplotlib.ticker import EngFormatter

    curves, word = list(drawn.values()), figures.word(figure)
    along, size = _along(curves, wish.across)
    page, axes = sheet(f"{word}, {_how(wish)}", word, along)
    for number, curve in drawn.items():
        _line(axes, number, curve, wish, size)
    if wish.kinds == KINDS[0] and any(curve.tested for curve in curves):
        axes.plot([], [], color="#777777", marker="D", markersize=5, linestyle="", label="evaluations")
    if wish.log:
        _make_log(axes)
    elif wish.across == "tokens":
        axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    _name(page, 1 if len(drawn) < 3 else 2)
    return saved(page, kind)


def _how(wish: Wish) -> str:
    if wish.kinds == "evaluation":
        return "at evaluations"
    return f"smoothed {wish.smoothing:g}" if wish.smoothing else "as logged"


def _along(curves: Sequence[RunCurve], across: Across) -> tuple[str, float]:
    """Return what stands along the foot, and by what its numbers are divided."""
    if across != "time":
        return ("optimizer step" if across == "steps" else "tokens"), 1.0
    longest = max(curve.xs(across)[-1] for curve in curves)
    unit, size = next((unit, size) for least, unit, size in _UNITS if longest >= least)
    return f"{unit} of training", size


def _line(axes: Axes, number: int, curve: RunCurve, wish: Wish, size: float) -> None:
    """Draw the training, its evaluations on it, and its letter at its end."""
    colour, name = _COLOURS[number], f"{LETTERS[number]}  {clean_line(curve.run.name)[:_LONGEST_NAME]}"
    tested = _points(*curve.evaluations(wish.across), size)
    if wish.kinds == "evaluation":
        axes.plot(*columns(tested), color=colour, linewidth=1.5, marker="D", markersize=5, label=name)
        _mark(axes, number, tested)
        return
    points = _points(curve.xs(wish.across), curve.smoothed(wish.smoothing), size)
    marker = "o" if len(points) < _FEW else ""
    axes.plot(
        *columns(points),
        color=colour,
        linewidth=1.8 if wish.smoothing else 1.0,
        marker=marker,
        markersize=3,
        label=name,
    )
    if wish.kinds == KINDS[0]:
        axes.plot(*columns(tested), color=colour, marker="D", markersize=5, linestyle="", markeredgecolor="white")
    _mark(axes, number, points)


def _points(xs: Sequence[float], values: Sequence[float], size: float) -> list[Point]:
    return [(x / size, value) for x, value in zip(xs, values, strict=True)]


def _mark(axes: Axes, number: int, points: Sequence[Point]) -> None:
    last = next((point for point in reversed(points) if math.isfinite(point[1])), None)
    if last is not None:
        axes.annotate(
            LETTERS[number], last, xytext=(6, 0), textcoords="offset points", color=_COLOURS[number], fontsize=12,
            fontweight="bold", va="center",
        )  # fmt: skip


def _make_log(axes: Axes) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter

    if not axes.dataLim.y1 > 0:
        raise RunError("no value is above zero, so none has a place on a logarithmic scale", "leave --log out")
    axes.set_yscale("log", nonpositive="mask")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 3.0, 5.0)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.4g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def _name(page: Page, columns_: int) -> None:
    legend = page.legend(loc="outside lower left", ncols=columns_, fontsize=10, frameon=False)
    for text in legend.get_texts():
        text.set(**plain_words())
