"""Pictures of a run's curves, PNG and SVG, from its journal: `plot_loss` and `tuitune runs plot`.

The files have LLaMA-Factory's names, and the line is smoothed as there: an exponential mean whose weight grows with
the number of points, 1.8 (1 / (1 + exp(-n / 20)) - 1/2).
"""

from __future__ import annotations

import functools
import io
import math
import re
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.errors import RunError
from tuitune.run.directory import RunDir
from tuitune.run.events import EvalLogged, StepLogged
from tuitune.run.files import private_dir, write_atomic
from tuitune.run.journal import JournalReader, Point, supersede, thin
from tuitune.text import clean_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Page

    from tuitune.engine.session import Session
    from tuitune.recipe import Recipe

KINDS = ("png", "svg")
_LOSS = "loss"
_EVAL = "eval_"
_MOST_POINTS = 4000  # of one line: an SVG holds every one
_INCHES, _DPI = (8.0, 4.5), 120
_LINE, _DOTS = "#1f5fa8", "#c4501b"
_IDEOGRAPHS = ("Noto Sans CJK SC", "Noto Sans SC", "Source Han Sans SC", "WenQuanYi Zen Hei", "PingFang SC", "SimHei")
_LONGEST_NAME, _LONGEST_TITLE = 80, 70


@dataclass
class Figure:
    """One quantity over the optimizer steps: what was logged while training, and at evaluations."""

    training: list[Point] = field(default_factory=list)
    evaluations: list[Point] = field(default_factory=list)


def plot(run: RunDir, out: Path | None = None) -> list[Path]:
    """Draw every figure of a run into `out`, the run's folder unless given; return the files.

    Takes about a quarter of a second for each figure. Raises RunError where nothing was logged or nothing can be
    written.
    """
    figures = figures_of(run)
    if not figures:
        raise RunError(f"{run.name} has logged nothing yet", "look again after logging_steps")
    made: list[Path] = []
    try:
        folder = run.path if out is None else private_dir(out)
        for stem, (name, figure) in _stems(figures).items():
            for kind, data in _drawn(run.name, name, figure):
                write_atomic(folder / f"{stem}.{kind}", data)
                made.append(folder / f"{stem}.{kind}")
    except OSError as error:
        raise RunError(f"the pictures cannot be written: {error.strerror}", f"look at {out or run.path}") from error
    return made


def pictures(session: Session, recipe: Recipe | None) -> None:
    """Draw what `plot_loss` asks for at the end of an attempt; a run never fails because of its pictures."""
    if recipe is None or not recipe.plot_loss:
        return
    try:
        if not figures_of(session.run):
            return
        made = plot(session.run)
    except Exception as error:
        session.warn(f"the pictures of the curves could not be drawn: {clean_line(str(error))[:200]}")
    else:
        shown = ", ".join(path.name for path in made if path.suffix == ".png")
        session.note(f"pictures of the curves, as png and svg: {shown}")


def figures_of(run: RunDir) -> dict[str, Figure]:
    """Return the figures that still count, the loss first; one that was only evaluated is called eval_..."""
    found: dict[str, Figure] = {}
    for event in supersede(JournalReader(run.events).read()):
        if isinstance(event, StepLogged):
            for name, value in {_LOSS: event.loss, **event.metrics}.items():
                found.setdefault(name, Figure()).training.append((event.step, value))
        elif isinstance(event, EvalLogged):
            for name, value in {_LOSS: event.loss, **event.metrics}.items():
                plain = name.removeprefix(_EVAL)
                found.setdefault(plain, Figure()).evaluations.append((event.step, value))
                found.setdefault(_EVAL + plain, Figure()).training.append((event.step, value))
    return {name: figure for name, figure in found.items() if figure.training}


def smooth(values: Sequence[float]) -> list[float]:
    """Return the smoothed values; those that are not finite stay as they are and count for nothing."""
    weight = 1.8 * (1 / (1 + math.exp(-0.05 * len(values))) - 0.5)
    made: list[float] = []
    last: float | None = None
    for value in values:
        if math.isfinite(value):
            last = value if last is None else weight * last + (1 - weight) * value
        made.append(last if last is not None and math.isfinite(value) else value)
    return made


def _stems(figures: dict[str, Figure]) -> dict[str, tuple[str, Figure]]:
    """Return the figures by the names of their files: rewards/accuracies is training_rewards_accuracies."""
    made: dict[str, tuple[str, Figure]] = {}
    for name, figure in figures.items():
        stem = plain = "training_" + re.sub(r"[^\w.-]+", "_", clean_line(name))[:_LONGEST_NAME]
        number = 2
        while stem in made:
            stem, number = f"{plain}_{number}", number + 1
        made[stem] = (name, figure)
    return made


def _drawn(run: str, name: str, figure: Figure) -> Iterable[tuple[str, bytes]]:
    page, axes = sheet(f"{name}  ·  {run}", name)
    _lines(axes, name, figure)
    axes.legend(fontsize=11, frameon=False)
    for kind in KINDS:
        yield kind, saved(page, kind)


def sheet(title: str, upright: str, along: str = "optimizer step") -> tuple[Page, Axes]:
    """Return an empty page with its axes; the words may be foreign text."""
    # The object interface: pyplot keeps global state, and this is not the only thread.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Page
    from matplotlib.ticker import MaxNLocator

    page = Page(figsize=_INCHES, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(page)
    axes = page.add_subplot()
    axes.set_title(clean_line(title)[:_LONGEST_TITLE], fontsize=13, loc="left", **plain_words())
    axes.set_xlabel(along, fontsize=12)
    axes.set_ylabel(clean_line(upright)[:_LONGEST_TITLE], fontsize=12, **plain_words())
    axes.tick_params(labelsize=11)
    axes.xaxis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))
    axes.grid(color="#d5d5d5", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    return page, axes


def saved(page: Page, kind: str) -> bytes:
    """Return a page as a file of one of `KINDS`."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        # A letter that no font here has is a box in the picture, and no news for the terminal.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        page.savefig(file, format=kind, metadata={"Date": None} if kind == "svg" else None)
    return file.getvalue()


def plain_words() -> dict[str, Any]:
    """Return how foreign words are set: a dollar sign in a name is no formula."""
    return {"fontfamily": _families(), "parse_math": False}


@functools.cache
def _families() -> list[str]:
    """Return the fonts for names of runs, which may be Chinese; the first has every other letter."""
    from matplotlib.font_manager import fontManager

    there = set(fontManager.get_font_names())
    return ["DejaVu Sans", *(name for name in _IDEOGRAPHS if name in there)]


def _lines(axes: Axes, name: str, figure: Figure) -> None:
    points = figure.training
    smoothed = list(zip([x for x, _ in points], smooth([y for _, y in points]), strict=True))
    marker = "o" if len(points) < 30 else ""
    axes.plot(*columns(points), color=_LINE, alpha=0.35, linewidth=1.2, marker=marker, markersize=3, label="logged")
    axes.plot(*columns(smoothed), color=_LINE, linewidth=2, label="smoothed")
    if figure.evaluations:
        style = {"color": _DOTS, "marker": "D", "markersize": 5, "linestyle": "--", "linewidth": 1}
        axes.plot(*columns(figure.evaluations), label="evaluation", **style)  # type: ignore[arg-type]


def columns(points: Sequence[Point]) -> tuple[list[float], list[float]]:
    """Return where the points of a line stand, and their values, as many as a picture needs."""
    kept = thin(points, _MOST_POINTS)
    # Infinities are gaps in the line.
    return [x for x, _ in kept], [y if math.isfinite(y) else math.nan for _, y in kept]
