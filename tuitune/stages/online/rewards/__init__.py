"""What an answer is worth: built-in rewards, functions of the user's own, a reward model, and their weighted sum."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.errors import DataError, UsageError
from tuitune.recipe.rewards import weights_of
from tuitune.stages.online.rewards import builtin, own
from tuitune.stages.online.rewards.pattern import Pattern

if TYPE_CHECKING:
    from tuitune.data import Examples
    from tuitune.recipe import Recipe
    from tuitune.stages.base import Surroundings
    from tuitune.stages.online.answer import Answer, Reward

MODEL = "reward_model"


@dataclass(frozen=True)
class Judged:
    """What some answers are worth, one number for each.

    totals: the weighted sum of the rewards that say something, NaN where none does. parts: what each reward says, by
    its name, without its weight.
    """

    totals: list[float]
    parts: dict[str, list[float]]

    def figures(self) -> dict[str, tuple[float, int]]:
        """Return sum and count of the reward and of each part, by trl's names, over the answers it speaks of."""
        named = {"reward": self.totals} | {f"rewards/{name}/mean": values for name, values in self.parts.items()}
        known = {name: [value for value in values if not math.isnan(value)] for name, values in named.items()}
        return {name: (math.fsum(values), len(values)) for name, values in known.items() if values}


@dataclass(frozen=True)
class Part:
    """One reward, its name and its weight."""

    name: str
    reward: Reward
    weight: float = 1.0


class Rewards:
    """All rewards of a recipe."""

    def __init__(self, parts: Sequence[Part], digest: str = "") -> None:
        self._parts, self._digest = list(parts), digest

    @property
    def names(self) -> tuple[str, ...]:
        """What the rewards are called."""
        return tuple(part.name for part in self._parts)

    def __call__(self, answers: Sequence[Answer]) -> Judged:
        """Return what the answers are worth; TrainingError where a function of the user's own does not work."""
        said = {part.name: [float(value) for value in part.reward(answers)] for part in self._parts}
        weights = [part.weight for part in self._parts]
        return Judged([_sum(values, weights) for values in zip(*said.values(), strict=True)], said)

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint should know."""
        return {"reward_file": self._digest}

    def compare(self, state: Mapping[str, Any], warn: Callable[..., None]) -> None:
        """Say it when the user's file is not the one that `state` was saved with."""
        if state.get("reward_file", "") != self._digest:
            warn(
                "not bit-equal: reward_file has changed since the checkpoint",
                "from here on answers are judged by what it says now",
            )


def rewards_of(around: Surroundings) -> Rewards:
    """Return the rewards that the recipe asks for; runs its reward_file and loads its reward model.

    Raises UsageError with what is wrong with the rewards; TrainingError or ModelError where the model cannot be had.
    """
    recipe, digest = around.recipe, ""
    named = [(name, _builtin(name, recipe, around.warn)) for name in recipe.reward_functions]
    if recipe.reward_file:
        path = Path(recipe.reward_file).expanduser().absolute()
        digest = own.digest(path)
        functions = own.load(path)
        named += [(each.name, each) for each in functions]
        around.warn(
            f"reward_file {path} runs with your permissions: {', '.join(each.name for each in functions)}",
            "train with it only if you trust who wrote it",
        )
    if recipe.reward_model:
        from tuitune.stages.online.judge import reward_model

        named.append((MODEL, reward_model(around)))
    return Rewards(_weighed(named, weights_of(recipe.reward_weights)), digest)


def _weighed(named: Sequence[tuple[str, Reward]], weights: Sequence[float]) -> list[Part]:
    names = ", ".join(name for name, _ in named)
    if not named:
        raise UsageError("there is no reward", "set reward_functions, reward_file or reward_model")
    if weights and len(weights) != len(named):
        raise UsageError(f"reward_weights has {len(weights)} weights for {len(named)} rewards: {names}")
    return [
        Part(name, reward, weight) for (name, reward), weight in zip(named, weights or [1.0] * len(named), strict=True)
    ]


def _builtin(name: str, recipe: Recipe, warn: Callable[..., None]) -> Reward:
    if name == "pattern":
        return Pattern(recipe.reward_pattern or "", warn)
    one = {
        "exact": builtin.exact,
        "format": builtin.thoughts_and_answer,
        "length": builtin.length(recipe.reward_length),
        "json": builtin.valid_json,
        "repetition": builtin.repetition,
    }[name]
    return lambda answers: [one(answer) for answer in answers]


def _sum(values: Sequence[float], weights: Sequence[float]) -> float:
    known = [weight * value for value, weight in zip(values, weights, strict=True) if not math.isnan(value)]
    return math.fsum(known) if known else math.nan


def has_answers(recipe: Recipe, train: Examples) -> None:
    """Raise DataError where rewards compare with the data's answers and it has none."""
    if "exact" not in recipe.reward_functions:
        return
    if not any(builtin.reference(columns) for columns in train.columns or ()):
        raise DataError(
            "the reward exact compares with the data's answers, and the data has none",
            "name a dataset with answers (its response column), or other reward_functions",
        )
