"""What the tests of recipes share: the shortest right recipe, and a way to look at problems."""

from __future__ import annotations

from pathlib import Path

from tuitune.recipe import Document, Problem, Recipe

LEAST = "model_name_or_path: smollm2-135m\ndataset: alpaca_en_demo\n"


def problems(*lines: str) -> list[Problem]:
    """Return what is said about the shortest recipe with these lines put behind it."""
    return Document.parse(LEAST + "\n".join(lines) + "\n").problems()


def errors(*lines: str) -> list[Problem]:
    """Return the errors only."""
    return [problem for problem in problems(*lines) if problem.level == "error"]


def warnings(*lines: str) -> list[Problem]:
    """Return the warnings only."""
    return [problem for problem in problems(*lines) if problem.level == "warning"]


def recipe(*lines: str, source: Path | None = None) -> Recipe:
    """Return the shortest recipe with these lines put behind it; raises RecipeError."""
    return Document.parse(LEAST + "\n".join(lines) + "\n", source).recipe()
