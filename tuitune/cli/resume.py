"""`tuitune resume`: go on with a run, perhaps with other values."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tuitune.cli.console import json_line, say, screen
from tuitune.cli.drive import drive
from tuitune.errors import RunError
from tuitune.face import words
from tuitune.face.asking import fix_places, read_good
from tuitune.face.change import change_recipe
from tuitune.face.find import find, is_live
from tuitune.recipe import load
from tuitune.run import RunDir, summary
from tuitune.run.imported import refuse_training


def resume(name: str, settings: Sequence[str], *, detached: bool, as_json: bool) -> int:
    """Go on with the run called `name`; return the exit code."""
    run = find(name)
    refuse_training(run)
    if is_live(run):
        raise RunError(f"{run.name} is training already", f"look at it with `tuitune attach {words.called(run)}`")
    changed = change(run, settings)
    found = summary(run)
    if found.status == "finished" and not changed:
        return _nothing_to_do(run, as_json=as_json)
    if not as_json:
        whence = f"from {found.checkpoint.name}" if found.checkpoint else "from the beginning: it has no checkpoint"
        say(screen(sys.stderr), f"{run.name} goes on {whence}")
    return drive(run, detached=detached, as_json=as_json)


def change(run: RunDir, settings: Sequence[str]) -> list[str]:
    """Write `settings` into a run's recipe and say what that means; return the keys that have another value now."""
    document, _ = read_good(run.recipe, settings, name=f"the recipe of {run.name}")
    if settings:
        fix_places(document, settings)
    console = screen(sys.stderr)
    return change_recipe(run, document, tell=lambda text: say(console, text, "yellow"))


def _nothing_to_do(run: RunDir, *, as_json: bool) -> int:
    if as_json:
        json_line({"kind": "Run", "name": run.name, "path": run.path, "status": "finished"})
        return 0
    console, name = screen(), words.called(run)
    say(console, f"{run.name} has finished; there is nothing left to do")
    say(console, f"train it further: {words.further(run, load(run.recipe))}")
    say(console, f"ask it: tuitune chat --run {name}")
    return 0
