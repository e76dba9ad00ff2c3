from __future__ import annotations

import pytest

from tuitune import errors
from tuitune.recipe.problems import Problem


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (errors.TuiTuneError, 1),
        (errors.UsageError, 2),
        (errors.DataError, 1),
        (errors.ModelError, 1),
        (errors.RunError, 1),
        (errors.TrainingError, 1),
        (errors.Stopped, 3),
    ],
)
def test_every_failure_has_words_and_an_exit_code(kind: type[errors.TuiTuneError], code: int) -> None:
    error = kind("it broke", "mend it")
    assert (error.message, error.hint, str(error), error.exit_code) == ("it broke", "mend it", "it broke", code)
    assert kind("it broke").hint == ""


def test_a_recipe_error_counts_errors_only() -> None:
    wrong = Problem("lora_rank", -1, "must be positive")
    doubtful = Problem("bf16", True, "slow here", level="warning")
    one = errors.RecipeError([wrong, doubtful], "r.yaml")
    assert one.problems == (wrong, doubtful)
    assert str(one) == "r.yaml has 1 problem"
    assert str(errors.RecipeError([wrong, wrong])) == "the recipe has 2 problems"
    assert one.exit_code == 2
