"""A method's own optimizer on a tiny model, without a run: for tests that go step by step."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import TrainingArguments

from tests.tiny import tiny_model
from tuitune.methods import method
from tuitune.recipe import Recipe


def given(model: nn.Module | None = None, *, layers: int = 4, **values: Any) -> tuple[Any, Any]:
    """Return a tiny model (or `model`) prepared for a recipe of `values`, and the optimizer that the method brings."""
    model = tiny_model(num_hidden_layers=layers) if model is None else model
    recipe = Recipe(**({"finetuning_type": "full", "learning_rate": 1e-2, "seed": 3} | values))
    way = method(recipe.finetuning_type)
    prepared = way.prepare(model, recipe)  # type: ignore[arg-type]
    return prepared, way.optimizer(prepared, recipe, arguments(recipe))


def arguments(recipe: Recipe) -> TrainingArguments:
    """Return what an optimizer reads of the Trainer's arguments."""
    keys = ("learning_rate", "weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon")
    return TrainingArguments(use_cpu=True, **{key: getattr(recipe, key) for key in keys})


def backward(model: Any, number: int) -> None:
    """Leave the gradients of some loss, another one for each `number`; the forward is the model's own."""
    model.zero_grad()
    draw = torch.Generator().manual_seed(number)
    ids = torch.randint(0, 512, (2, 24), generator=draw)
    model(input_ids=ids, labels=ids).loss.backward()


def values(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return a copy of all weights by name."""
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def moved(before: dict[str, torch.Tensor], model: nn.Module) -> dict[str, int]:
    """Return how many entries of each parameter differ from `before`, of those in which any does."""
    counts = {name: int((p.detach() != before[name]).sum()) for name, p in model.named_parameters()}
    return {name: count for name, count in counts.items() if count}
