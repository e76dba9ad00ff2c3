"""The recipe of a run for a new one: the same training in a place of its own."""

from __future__ import annotations

import contextlib
import itertools
import os

from tuitune.engine.asked import asked
from tuitune.errors import RecipeError, UsageError
from tuitune.face.find import plain_name
from tuitune.recipe import Document, Recipe
from tuitune.run import RunDir, places

# Where the run wrote, and what it went on from: the new one must not do the same.
_OWN = ("output_dir", "overwrite_output_dir", "resume_from_checkpoint", "run_name")


def cloned(run: RunDir) -> tuple[Document, list[str]]:
    """Return a run's recipe for a new run, and what was changed in it: places left out, relative paths made absolute.

    Raises RecipeError when it cannot be read.
    """
    document = Document.read(run.recipe)
    notes = [f"{key} is left out" for key in _OWN if key in document]
    for key in _OWN:
        document.remove(key)
    try:
        recipe, moved = asked(run)
    except RecipeError:
        return document, notes  # with its problems, for the user to mend
    for note in moved:
        key = note.partition(":")[0]
        value = getattr(recipe, key)
        document.set(key, ",".join(value) if isinstance(value, tuple) else value)
    return document, notes + [f"{note.partition(':')[0]} is an absolute path now" for note in moved]


def free_name(run: RunDir) -> str:
    """Return a name after a run's that no run has: `tuned-2`."""
    stem, _, number = run.name.rpartition("-")
    stem = stem if stem and number.isdigit() and len(number) < 4 else run.name
    numbered = (f"{stem}-{number}" for number in itertools.count(2))
    return next(name for name in numbered if not os.path.lexists(places.runs() / name))


def usable_name(name: str | None, recipe: Recipe) -> str | None:
    """Return the name for a new run of a recipe, None where the recipe says its place or a run has that name."""
    if name is None or recipe.output_dir is not None or os.path.lexists(places.runs() / name):
        return None
    with contextlib.suppress(UsageError):
        return plain_name(name)
    return None
