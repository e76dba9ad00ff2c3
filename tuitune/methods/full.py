"""Full fine-tuning: every parameter learns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel, TrainingArguments

    from tuitune.recipe import Recipe


class Full:
    """All weights are trained, in fp32 unless `pure_bf16` asks for bf16."""

    name = "full"

    def prepare(self, model: PreTrainedModel, recipe: Recipe) -> nn.Module:
        """Make every parameter trainable; with autocast the master weights stay fp32."""
        kind = torch.bfloat16 if recipe.pure_bf16 else torch.float32
        for parameter in model.parameters():
            parameter.requires_grad_(True)
            if parameter.dtype != kind and parameter.is_floating_point() and parameter.dtype != torch.float64:
                parameter.data = parameter.data.to(kind)
        return model

    def optimizer(self, model: nn.Module, recipe: Recipe, args: TrainingArguments) -> torch.optim.Optimizer | None:
        """Leave the choice to `optim`."""
        return None

    def save(self, model: Any, folder: str, *, exact: bool = False) -> None:
        """Write the whole model as safetensors."""
        # transformers renames and splits some weights (experts) on saving; Trainer's resume would not find those again.
        model.save_pretrained(folder, save_original_format=not exact)

    def noise(self, recipe: Recipe) -> bool:
        """Full fine-tuning adds no noise of its own."""
        return False
