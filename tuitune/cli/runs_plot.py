"""`tuitune runs plot`: pictures of the curves of each run, or of several over each other."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tuitune.cli.console import say, screen
from tuitune.cli.runs import one_of
from tuitune.engine.plot import plot as each_figure
from tuitune.errors import UsageError
from tuitune.face.curve import ACROSS, KINDS, Across, Kinds
from tuitune.face.find import find
from tuitune.face.overlaid import Wish, is_picture, overlaid
from tuitune.run import RunDir
from tuitune.text import clean_line


def plot(
    names: Sequence[str], *, out: Path | None, figure: str | None, by: str, smooth: float, log: bool, only: str | None
) -> int:
    """Draw pictures of the curves of runs, or all in the one that `out` names; print where they are."""
    wish = Wish(figure, _across(by), smooth, log, _kinds(only))
    runs = list(dict.fromkeys(find(name) for name in names))
    if out is not None and is_picture(out := out.expanduser().absolute()):
        return _together(runs, out, wish)
    if wish != Wish():
        raise UsageError(
            "--figure, --by, --smooth, --log and --only are for one picture of all the runs",
            "name it: --out curves.png, or .svg",
        )
    for run in runs:
        for path in each_figure(run, _place(run, out, several=len(runs) > 1)):
            print(clean_line(str(path)))
    return 0


def _across(word: str) -> Across:
    found = one_of(ACROSS, word, "the foot of the picture cannot show")
    return next(each for each in ACROSS if each == found)


def _kinds(word: str | None) -> Kinds:
    if word is None:
        return KINDS[0]
    found = one_of(KINDS[1:], word, "there are no curves of")
    return next(each for each in KINDS if each == found)


def _together(runs: Sequence[RunDir], out: Path, wish: Wish) -> int:
    for left in overlaid(runs, out, wish):
        say(screen(sys.stderr), f"warning: not drawn, {left}", "yellow")
    print(clean_line(str(out)))
    return 0


def _place(run: RunDir, out: Path | None, *, several: bool) -> Path | None:
    return None if out is None else out / run.name if several else out
