"""Benchmarks by the names that recipes give them; each is imported when it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuitune.errors import UsageError

if TYPE_CHECKING:
    from tuitune.evaluate.scores import Benchmark
    from tuitune.recipe import Recipe

HARNESS = "lm_eval:"


def names_of(task: str | None) -> list[str]:
    """Return the names in `task`, which stand with commas between them; UsageError for an empty or repeated one."""
    names = [name.strip() for name in task.split(",")] if task else []
    if "" in names or len(set(names)) < len(names):
        raise UsageError(f"task: {task!r} has an empty name, or one twice", "write the benchmarks with commas between")
    return names


def benchmarks(recipe: Recipe) -> list[Benchmark]:
    """Return the recipe's benchmarks, their questions read. Raises UsageError or DataError before a model is loaded."""
    return [_benchmark(name, recipe) for name in names_of(recipe.task)]


def _benchmark(name: str, recipe: Recipe) -> Benchmark:
    if name.startswith(HARNESS):
        from tuitune.evaluate.harness import Harness

        return Harness(name.removeprefix(HARNESS), recipe)
    from tuitune.evaluate.choice import Choice

    return Choice(name, recipe)
