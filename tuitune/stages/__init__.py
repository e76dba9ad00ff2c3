"""Training stages, found by name; a stage is one module and one row here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuitune.recipe import Recipe
    from tuitune.stages.base import Stage

_STAGES = {
    "sft": ("tuitune.stages.sft", "Sft"),
    "pt": ("tuitune.stages.pt", "Pt"),
    "rm": ("tuitune.stages.rm", "RewardModel"),
    "dpo": ("tuitune.stages.preference", "Preference"),
    "orpo": ("tuitune.stages.preference", "Orpo"),
    "simpo": ("tuitune.stages.preference", "Simpo"),
    "kto": ("tuitune.stages.kto", "Kto"),
    "ppo": ("tuitune.stages.ppo", "Ppo"),
    "grpo": ("tuitune.stages.grpo", "Grpo"),
    "rloo": ("tuitune.stages.rloo", "Rloo"),
}


def stage(recipe: Recipe) -> Stage:
    """Return the recipe's stage; its module is imported only now."""
    module, attribute = _STAGES[recipe.stage]
    made: Stage = getattr(import_module(module), attribute)(recipe)
    return made
