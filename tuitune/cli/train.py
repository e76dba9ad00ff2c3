"""`tuitune train`: from a recipe to a run directory, then to an engine."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tuitune.cli import report
from tuitune.cli.console import say, screen
from tuitune.cli.drive import drive
from tuitune.face.asking import read_ready
from tuitune.face.start import open_run


def train(recipe: str, settings: Sequence[str], *, name: str | None, detached: bool, as_json: bool) -> int:
    """Train the recipe in the file `recipe`; return the exit code."""
    document, warnings = read_ready(recipe, settings)
    run = open_run(document, name=name, tell=aside)
    if detached and not as_json:
        report.problems(warnings)  # otherwise the journal tells of them
    return drive(run, detached=detached, as_json=as_json)


def aside(text: str) -> None:
    """Say something that is not the result."""
    say(screen(sys.stderr), text)
