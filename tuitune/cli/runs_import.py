"""`tuitune runs import`: what other trainers made becomes runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tuitune.cli.console import json_line, say, screen
from tuitune.errors import TuiTuneError, UsageError
from tuitune.face import words
from tuitune.face.importing import Refused, Taken, outputs, take_in
from tuitune.recipe import Document

_HINT = "the rest is in; mend what is named above, then import the same folder again"


def import_(folder: Path, settings: Sequence[str], *, name: str | None, recipe: Path | None, as_json: bool) -> int:
    """Import one output folder, or all below a folder; one that fails does not keep the others out."""
    found = outputs(folder)
    if name is not None and len(found) > 1:
        raise UsageError(
            f"{folder} holds {len(found)} trainings, and --run names one", "name the folder of one of them"
        )
    given = _given(recipe, settings)
    failed: TuiTuneError | None = None
    count = 0
    for path in found:
        try:
            _tell(take_in(path, name=name, given=given), as_json=as_json)
        except TuiTuneError as error:
            failed = failed or error
            if len(found) > 1:
                say(screen(sys.stderr), f"{Refused(path, error)}", "yellow")
                count += 1
    if failed is not None:
        raise failed if not count else UsageError(f"{count} of {len(found)} folders were not imported", _HINT)
    return 0


def _given(recipe: Path | None, settings: Sequence[str]) -> dict[str, object]:
    document = Document.read(recipe) if recipe is not None else Document.parse("")
    for setting in settings:
        document.override(setting)
    return document.values()


def _tell(taken: Taken, *, as_json: bool) -> None:
    name = taken.run.name
    if as_json:
        json_line({"kind": "Imported", "name": name, "path": taken.run.path, "source": taken.source,
                   "steps": taken.steps, "new": taken.new, "notes": taken.notes})  # fmt: skip
        return
    for note in taken.notes:
        say(screen(sys.stderr), f"warning: {name}: {note}", "yellow")
    if taken.new:
        say(screen(), f"{name}: {taken.steps:,} steps from {taken.source}; look at it: tuitune runs show "
                      f"{words.called(taken.run)}")  # fmt: skip
    else:
        say(screen(), f"{taken.source} was imported already, as {name}")
