"""The built-in rewards by name, and how recipes name and weigh rewards. What they do: tuitune/stages/online/rewards."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import BeforeValidator

from tuitune.recipe.option import Rule
from tuitune.recipe.shapes import Kind, as_names, wrong

if TYPE_CHECKING:
    from tuitune.recipe.recipe import Recipe

REWARDS: Mapping[str, str] = {
    "exact": "1 if the final answer is the data's, else 0",
    "format": "1 for <think>thoughts</think> and then an answer, else 0",
    "length": "nearness to reward_length tokens, 0 to 1",
    "pattern": "1 if reward_pattern is found, else 0",
    "json": "1 if the answer is valid JSON, else 0",
    "repetition": "0 to -1, the share of repeated runs of four tokens",
}
_LENGTH = 100  # the default of reward_length


def as_rewards(value: object) -> tuple[str, ...]:
    """Read names of built-in rewards, each once."""
    names = as_names(value)
    for name in names:
        if name not in REWARDS:
            close = difflib.get_close_matches(name.lower(), REWARDS, n=1, cutoff=0.5)
            hint = f"did you mean {close[0]}?" if close else "functions of your own stand in reward_file"
            raise wrong(f"'{name}' is not one of: {', '.join(REWARDS)}", hint)
        if names.count(name) > 1:
            raise wrong(f"names {name} twice", "name it once, with a weight in reward_weights")
    return names


RewardNames = Annotated[tuple[str, ...], Kind("names"), BeforeValidator(as_rewards)]


def weights_of(text: str | None) -> list[float]:
    """Return the numbers of reward_weights, none where it is unset; raises ValueError for anything else."""
    return [float(part) for part in text.split(",")] if text else []


def _not_numbers(recipe: Recipe) -> bool:
    try:
        found = weights_of(recipe.reward_weights)
    except ValueError:
        return True
    return any(weight - weight != 0 for weight in found)


def _miscounted(recipe: Recipe) -> bool:
    # How many rewards a file has is known when it is read.
    if recipe.reward_file or not recipe.reward_weights or _not_numbers(recipe):
        return False
    return len(weights_of(recipe.reward_weights)) != len(recipe.reward_functions) + bool(recipe.reward_model)


def _no_expression(recipe: Recipe) -> bool:
    try:
        re.compile(recipe.reward_pattern or "")
    except (re.error, RecursionError, OverflowError):
        return True
    return False


RULES = (
    Rule(
        ("reward_functions", "reward_pattern"),
        lambda r: "pattern" in r.reward_functions and not r.reward_pattern,
        "the reward pattern has nothing to look for",
        "set reward_pattern, such as '\\d+ euros?$'",
    ),
    Rule(
        ("reward_pattern",),
        _no_expression,
        "is no regular expression that can be read",
        "close its brackets; a plain sign such as ( is written \\(",
    ),
    Rule(
        ("reward_pattern", "reward_functions"),
        lambda r: bool(r.reward_pattern) and "pattern" not in r.reward_functions,
        "nothing looks for it",
        "add pattern to reward_functions",
        level="warning",
    ),
    Rule(
        ("reward_length", "reward_functions"),
        lambda r: r.reward_length != _LENGTH and "length" not in r.reward_functions,
        "no reward asks for a length",
        "add length to reward_functions",
        level="warning",
    ),
    Rule(
        ("reward_weights",),
        _not_numbers,
        "expected numbers with commas between them",
        "write one weight for each reward, such as 1, 0.2",
    ),
    Rule(
        ("reward_weights", "reward_functions", "reward_model"),
        _miscounted,
        "has not one weight for each reward",
        "one for each of reward_functions, then one for the reward model if there is one",
    ),
)
