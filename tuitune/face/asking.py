"""Recipes as the command line asks for them: a file with overrides, and everything there is to say about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tuitune.engine.asked import ADAPTERS, FILES, FOLDERS, MODELS, SCRIPT, is_place
from tuitune.errors import RecipeError
from tuitune.recipe import Document, Problem
from tuitune.resources import recipe_file


def read(path: str | Path, settings: Sequence[str]) -> tuple[Document | None, list[Problem]]:
    """Return the document with the overrides in it, None for an unreadable one, and all problems and warnings.

    path: a file, or the name of a preset.
    """
    try:
        document = Document.read(recipe_file(path))
    except RecipeError as error:
        return None, list(error.problems)
    found: list[Problem] = []
    for setting in settings:
        try:
            document.override(setting)
        except RecipeError as error:
            found += error.problems
    return document, [*found, *document.problems()]


def missing(document: Document) -> list[Problem]:
    """Return a problem for what a good recipe names and is not there: model, data, template, adapters, layers."""
    from tuitune.engine.preflight import preflight

    return [replace(problem, line=document.line(problem.key)) for problem in preflight(document.recipe())]


def read_ready(path: str | Path, settings: Sequence[str]) -> tuple[Document, list[Problem]]:
    """Return a document that can be trained and its warnings; raises RecipeError with everything that is wrong."""
    document, warnings = read_good(path, settings)
    found = [*missing(document), *warnings]
    if any(problem.level == "error" for problem in found):
        raise RecipeError(found, str(path))
    return document, found


def read_good(path: str | Path, settings: Sequence[str], *, name: str = "") -> tuple[Document, list[Problem]]:
    """Return the document and its warnings; raises RecipeError with everything when something is wrong."""
    document, problems = read(path, settings)
    if document is None or any(problem.level == "error" for problem in problems):
        raise RecipeError(problems, name or str(path))
    return document, problems


def changed_keys(before: Document, after: Document) -> list[str]:
    """Return the keys whose values differ."""
    old, new = before.values(), after.values()
    return [key for key in dict.fromkeys([*old, *new]) if old.get(key) != new.get(key)]


def fix_places(document: Document, settings: Sequence[str]) -> None:
    """Make relative paths among the overrides absolute where they exist: the run may have been started elsewhere."""
    values = document.values()
    for key in dict.fromkeys(setting.partition("=")[0].strip() for setting in settings):
        value = values.get(key)
        if key not in (*FOLDERS, *FILES, SCRIPT, *ADAPTERS, *MODELS):
            continue
        if isinstance(value, str):
            document.set(key, ",".join(_fixed(key, name.strip()) for name in value.split(",")))
        elif isinstance(value, list):
            document.set(key, [_fixed(key, name) if isinstance(name, str) else name for name in value])


def _fixed(key: str, name: str) -> str:
    return str(Path(name).absolute()) if name and is_place(key, name) and Path(name).exists() else name
