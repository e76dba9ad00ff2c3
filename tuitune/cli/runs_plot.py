"""`tuitune runs plot`: pictures of the curves of each run, or of several over each other."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tuitune.cli.console import json_line, say, screen
from tuitune.cli.runs import one_of
from tuitune.engine.plot import plot as each_figure
from tuitune.errors import UsageError
from tuitune.face.curve import ACROSS, KINDS, Across, Kinds
from tuitune.face.find import find
from tuitune.face.overlaid import Wish, is_picture, overlaid
from tuitune.run import RunDir
from tuitune.text import clean_line


def plot(
    names: Sequence[str], *, out: Path | None, figure: str | None, by: str, smooth: float, log: bool, only: str | None,
    as_json: bool = False,
) -> int:  # fmt: skip
    """Draw pictures of the curves of runs, or all in the one that `out` names; print where they are."""
    wish = Wish(figure, _across(by), smooth, log, _kinds(only))
    runs = list(dict.fromkeys(find(name) for name in names))
    if out is not None and is_picture(out := out.expanduser().absolute()):
        return _together(runs, out, wish, as_json=as_json)
    if wish != Wish():
        raise UsageError(
            "--figure, --by, --smooth, --log and --only are for one picture of all the runs",
            "name it: --out curves.png, or .svg",
        )
    for run in runs:
        for path in each_figure(run, _place(run, out, several=len(runs) > 1)):
            _tell(path, [run], [], as_json=as_json)
    return 0


def _tell(path: Path, runs: Sequence[RunDir], left: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        json_line({"kind": "Picture", "path": path, "runs": [run.name for run in runs], "not_drawn": left})
        return
    for each in left:
        say(screen(sys.stderr), f"warning: not drawn, {each}", "yellow")
    print(clean_line(str(path)))


def _across(word: str) -> Across:
    found = one_of(ACROSS, word, "the foot of the picture cannot show")
    return next(each for each in ACROSS if each == found)


def _kinds(word: str | None) -> Kinds:
    if word is None:
        return KINDS[0]
    found = one_of(KINDS[1:], word, "there are no curves of")
    return next(each for each in KINDS if each == found)


def _together(runs: Sequence[RunDir], out: Path, wish: Wish, *, as_json: bool) -> int:
    _tell(out, runs, overlaid(runs, out, wish), as_json=as_json)
    return 0


def _place(run: RunDir, out: Path | None, *, several: bool) -> Path | None:
    return None if out is None else out / run.name if several else out
