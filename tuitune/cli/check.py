"""`tuitune check` and `tuitune schema`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

from tuitune.cli import report
from tuitune.cli.console import json_line, say, screen
from tuitune.errors import RecipeError
from tuitune.face.asking import missing, read
from tuitune.recipe import Problem
from tuitune.recipe import schema as recipe_schema


def check(recipe: str, settings: Sequence[str], *, as_json: bool) -> int:
    """Print all problems of a recipe; return 2 if one of them is an error."""
    document, problems = read(recipe, settings)
    if document is not None and not any(problem.level == "error" for problem in problems):
        # Only a recipe that makes sense is held against what is there.
        problems = [*missing(document), *problems]
    wrong = any(problem.level == "error" for problem in problems)
    if as_json:
        for problem in problems:
            json_line(_record(problem))
        return RecipeError.exit_code if wrong else 0
    if wrong:
        raise RecipeError(problems, recipe)
    report.problems(problems)
    say(screen(), "the recipe is good", "green")
    return 0


def _record(problem: Problem) -> dict[str, object]:
    return {
        "level": problem.level, "key": problem.key, "line": problem.line, "reason": problem.reason,
        "hint": problem.hint, "value": problem.value if isinstance(problem.value, str | int | float | None) else
        str(problem.value),
    }  # fmt: skip


def schema() -> int:
    """Print the JSON schema."""
    sys.stdout.write(json.dumps(recipe_schema(), indent=2) + "\n")
    return 0
