"""From a recipe to the run directory in which it is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tuitune.errors import RunError, UsageError
from tuitune.face import words
from tuitune.face.find import is_live, plain_name
from tuitune.recipe import Document, Recipe
from tuitune.run import RunDir, index, places, summary
from tuitune.run.directory import default_name, move_aside
from tuitune.run.origin import Origin


def open_run(document: Document, *, name: str | None = None, tell: Callable[[str], None]) -> RunDir:
    """Return the run directory of a recipe: a new one, or the one in which this very recipe has not finished yet.

    What there is to say goes to `tell`. Raises UsageError for one that holds something else or has finished.
    """
    recipe = document.recipe()
    path = _place(recipe, name)
    if recipe.overwrite_output_dir and path.is_dir() and any(path.iterdir()):
        tell(f"{path} was moved aside to {move_aside(path)}")
    run = RunDir(path)
    if run.is_run():
        _same_and_open(run, document, tell)
    RunDir.create(run.path, document.text())
    Origin.here(document.source).keep(run)
    index.register(run.path)
    return run


def _place(recipe: Recipe, name: str | None) -> Path:
    if recipe.output_dir is None:
        model = recipe.model_name_or_path
        return places.runs() / (plain_name(name) if name else default_name(model, recipe.stage, recipe.method_name))
    if name is not None:
        raise UsageError(
            f"--run names a run in {places.runs()}, but the recipe sets output_dir: {recipe.output_dir}",
            "leave --run out, or add output_dir=null",
        )
    return RunDir(Path(recipe.output_dir)).path


def _same_and_open(run: RunDir, document: Document, tell: Callable[[str], None]) -> None:
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
        tell(f"{run.name} was {found.status}; it goes on from {found.checkpoint.name}")


def _never_trained(run: RunDir) -> bool:
    found = summary(run)
    return found.status in ("failed", "stopped", "crashed") and not found.step and found.checkpoint is None
