"""Full fine-tuning: every parameter learns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from tuitune import methods
from tuitune.methods import badam, lisa
from tuitune.methods.base import Method
from tuitune.models.depths import learn_thresholds

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel, TrainingArguments

    from tuitune.recipe import Recipe


class Whole(Method):
    """A method whose result is a whole model."""

    def optimizer(self, model: nn.Module, recipe: Recipe, args: TrainingArguments) -> torch.optim.Optimizer | None:
        """Return the optimizer of GaLore, BAdam and the like where one is asked for."""
        return methods.optimizer(model, recipe, args)

    def save(self, model: Any, folder: str, *, exact: bool = False) -> None:
        """Write the whole model as safetensors, each weight in the format it has."""
        # transformers renames and splits some weights (experts) on saving; Trainer's resume would not find those again.
        model.save_pretrained(folder, save_original_format=not exact)

    def after_step(self, model: Any, step: int) -> None:
        """Let the routers of Mixture-of-Depths take in what they saw; an ordinary model has none."""
        learn_thresholds(model)


class Full(Whole):
    """All weights are trained, in fp32 unless `pure_bf16` asks for bf16."""

    name = "full"

    def prepare(self, model: PreTrainedModel, recipe: Recipe) -> nn.Module:
        """Make trainable whatever will ever learn; with autocast the master weights stay fp32. Raises ModelError."""
        for parameter in model.parameters():
            parameter.requires_grad_(True)
        if recipe.use_badam:
            badam.narrow(model, recipe)
        if recipe.use_lisa:
            lisa.check(model, recipe)
        return in_training_format(model, recipe)


def in_training_format(model: PreTrainedModel, recipe: Recipe) -> PreTrainedModel:
    """Bring every parameter into the format of training: fp32, or bf16 with `pure_bf16`."""
    kind = torch.bfloat16 if recipe.pure_bf16 else torch.float32
    for parameter in model.parameters():
        if parameter.dtype != kind and parameter.is_floating_point() and parameter.dtype != torch.float64:
            parameter.data = parameter.data.to(kind)
    return model
