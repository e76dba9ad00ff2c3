"""Tuning methods and their optimizers, found by name; each is one module and one row here."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from tuitune.recipe.fields.matrix import own_optimizer

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import TrainingArguments

    from tuitune.methods.base import Method
    from tuitune.recipe import Recipe

_METHODS = {
    "full": ("tuitune.methods.full", "Full"),
    "freeze": ("tuitune.methods.freeze", "Freeze"),
    "lora": ("tuitune.methods.lora", "Lora"),
    "oft": ("tuitune.methods.kin", "Oft"),
    "adalora": ("tuitune.methods.adalora", "AdaLora"),
    "vera": ("tuitune.methods.kin", "Vera"),
    "ia3": ("tuitune.methods.kin", "Ia3"),
    "loha": ("tuitune.methods.kin", "Loha"),
    "lokr": ("tuitune.methods.kin", "Lokr"),
    "prompt_tuning": ("tuitune.methods.prompts", "PromptTuning"),
    "p_tuning": ("tuitune.methods.prompts", "PTuning"),
    "prefix_tuning": ("tuitune.methods.prompts", "PrefixTuning"),
    "bottleneck": ("tuitune.methods.bottleneck", "Bottleneck"),
}
_OPTIMIZERS = {
    "use_galore": ("tuitune.methods.galore", "optimizer"),
    "use_apollo": ("tuitune.methods.apollo", "optimizer"),
    "use_badam": ("tuitune.methods.badam", "optimizer"),
    "use_lisa": ("tuitune.methods.lisa", "optimizer"),
    "use_muon": ("tuitune.methods.muon", "optimizer"),
    "use_adam_mini": ("tuitune.methods.adam_mini", "optimizer"),
}


def method(name: str) -> Method:
    """Return the method called `name`; its module is imported only now."""
    module, attribute = _METHODS[name]
    made: Method = getattr(import_module(module), attribute)()
    return made


def optimizer(model: nn.Module, recipe: Recipe, args: TrainingArguments) -> torch.optim.Optimizer | None:
    """Return the optimizer that the recipe's method brings (GaLore, BAdam, ...), or None for its `optim`."""
    key = own_optimizer(recipe)
    if not key:
        return None
    module, attribute = _OPTIMIZERS[key]
    made: torch.optim.Optimizer = getattr(import_module(module), attribute)(model, recipe, args)
    return made
