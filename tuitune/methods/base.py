"""What a tuning method is: how it changes a model, what optimizer it brings, and how its result is saved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch
    from torch import nn
    from transformers import PreTrainedModel, TrainingArguments

    from tuitune.recipe import Recipe


class Method(Protocol):
    """A way to tune a model."""

    name: str

    def prepare(self, model: PreTrainedModel, recipe: Recipe) -> nn.Module:
        """Return the model to train: which parameters learn, in what precision. Raises ModelError."""
        ...

    def optimizer(self, model: nn.Module, recipe: Recipe, args: TrainingArguments) -> torch.optim.Optimizer | None:
        """Return the method's own optimizer, or None for the recipe's `optim`."""
        ...

    def save(self, model: nn.Module, folder: str, *, exact: bool = False) -> None:
        """Write what was trained so that plain transformers or peft load it.

        exact: for a checkpoint, with the names of the model in memory, where the format for others has other ones.
        """
        ...

    def noise(self, recipe: Recipe) -> bool:
        """Whether the method draws random numbers in the forward pass (dropout)."""
        ...
