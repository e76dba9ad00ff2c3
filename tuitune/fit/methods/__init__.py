"""What each tuning method trains, one module for each family; the names are those of `finetuning_type`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tuitune.fit.methods.base import NotKnown, Trained
from tuitune.fit.methods.bottleneck import bottleneck
from tuitune.fit.methods.kin import ia3, loha, lokr, oft
from tuitune.fit.methods.lora import adalora, lora, vera
from tuitune.fit.methods.prompts import p_tuning, prefix_tuning, prompt_tuning
from tuitune.fit.methods.whole import freeze, full

if TYPE_CHECKING:
    from tuitune.fit.shaped import Shaped
    from tuitune.recipe import Recipe

__all__ = ["NotKnown", "Trained", "trained"]

_METHODS: dict[str, Callable[[Recipe, Shaped], Trained]] = {
    "full": full,
    "freeze": freeze,
    "lora": lora,
    "oft": oft,
    "adalora": adalora,
    "vera": vera,
    "ia3": ia3,
    "loha": loha,
    "lokr": lokr,
    "prompt_tuning": prompt_tuning,
    "p_tuning": p_tuning,
    "prefix_tuning": prefix_tuning,
    "bottleneck": bottleneck,
}


def trained(recipe: Recipe, model: Shaped) -> Trained:
    """Return what the recipe's method trains of this model. Raises NotKnown."""
    return _METHODS[recipe.finetuning_type](recipe, model)
