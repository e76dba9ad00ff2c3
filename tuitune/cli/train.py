"""`tuitune train`: from a recipe to a run directory, then to an engine."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from tuitune.cli import report, words
from tuitune.cli.asking import read_ready
from tuitune.cli.console import say, screen
from tuitune.cli.drive import drive
from tuitune.cli.find import is_live, plain_name
from tuitune.errors import RunError, UsageError
from tuitune.recipe import Document, Recipe
from tuitune.run import RunDir, index, places, summary
from tuitune.run.directory import default_name, move_aside
from tuitune.run.origin import Origin


def train(recipe: str, settings: Sequence[str], *, name: str | None, detached: bool, as_json: bool) -> int:
    """Train the recipe in the file `recipe`; return the exit code."""
    document, warnings = read_ready(recipe, settings)
    run = open_run(document, name=name)
    if detached and not as_json:
        report.problems(warnings)  # otherwise the journal tells of them
    return drive(run, detached=detached, as_json=as_json)


def open_run(document: Document, *, name: str | None = None) -> RunDir:
    """Return the run directory of a recipe: a new one, or the one in which this very recipe has not finished yet.

    What is said goes to standard error. Raises UsageError for one that holds something else or has finished.
    """
    recipe = document.recipe()
    path = _place(recipe, name)
    if recipe.overwrite_output_dir and path.is_dir() and any(path.iterdir()):
        _tell(f"{path} was moved aside to {move_aside(path)}")
    run = RunDir(path)
    if run.is_run():
        _same_and_open(run, document)
    RunDir.create(run.path, document.text())
    Origin.here(document.source).keep(run)
    index.register(run.path)
    return run


def _place(recipe: Recipe, name: str | None) -> Path:
    if recipe.output_dir is None:
        model = recipe.model_name_or_path
        return places.runs() / (plain_name(name) if name else default_name(model, recipe.stage, recipe.finetuning_type))
    if name is not None:
        raise UsageError(
            f"--run names a run in {places.runs()}, but the recipe sets output_dir: {recipe.output_dir}",
            "leave --run out, or add output_dir=null",
        )
    return RunDir(Path(recipe.output_dir)).path


def _same_and_open(run: RunDir, document: Document) -> None:
    name = words.called(run)
    if _never_trained(run) and run.replace_recipe(document.text()):
        return  # a start that failed before the first step blocks nothing
    if run.recipe.read_bytes() != document.text().encode():
        raise UsageError(
            f"{run.path} holds a run with another recipe",
            f"go on with it: `tuitune resume {name}`, with key=value to change it; or choose another output_dir or "
            "--run, or set overwrite_output_dir: true to move it aside",
        )
    if is_live(run):
        raise RunError(f"{run.name} is training already", f"look at it with `tuitune attach {name}`")
    found = summary(run)
    if found.status == "finished":
        raise UsageError(
            f"{run.path} has finished this very recipe",
            f"train it further: `{words.further(run, document.recipe())}`; or choose another output_dir or --run, or "
            "set overwrite_output_dir: true to move it aside",
        )
    if found.checkpoint is not None:
        _tell(f"{run.name} was {found.status}; it goes on from {found.checkpoint.name}")


def _never_trained(run: RunDir) -> bool:
    found = summary(run)
    return found.status in ("failed", "stopped", "crashed") and not found.step and found.checkpoint is None


def _tell(text: str) -> None:
    say(screen(sys.stderr), text)
