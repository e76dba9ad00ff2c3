"""LISA (Pan et al., arXiv 2403.17919): the embeddings, the head and a few layers drawn at random learn at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from tuitune.errors import ModelError
from tuitune.methods.adamw import by_decay, settings
from tuitune.methods.blockwise import Blockwise, Turns, blocks_of

if TYPE_CHECKING:
    from torch import nn
    from transformers import TrainingArguments

    from tuitune.recipe import Recipe


def check(model: nn.Module, recipe: Recipe) -> None:
    """Raise ModelError if more layers shall learn at a time than there are."""
    count, wanted = len(blocks_of(model)), recipe.lisa_activated_layers
    if wanted > count:
        raise ModelError(
            f"lisa_activated_layers: {wanted} are more than the {count} layers of this model",
            f"{count} would be full fine-tuning; the paper draws 2 of 32",
        )


def optimizer(model: nn.Module, recipe: Recipe, args: TrainingArguments) -> torch.optim.Optimizer:
    """Return LISA's optimizer; what stands outside the list of layers always learns, the last norm too.

    A layer that is drawn again at once keeps its states, all others drop theirs.
    """
    blocks = blocks_of(model)
    return Blockwise(
        by_decay(model, args), blocks, turns(len(blocks), recipe.lisa_activated_layers, recipe.seed),
        interval=recipe.lisa_interval, verbose=0, **settings(args),
    )  # fmt: skip


def turns(count: int, learning: int, seed: int) -> Turns:
    """Return `learning` of `count` layers for each turn, every set as likely as any other (algorithm 1)."""

    def drawn(turn: int) -> list[int]:
        draw = torch.Generator().manual_seed(seed)
        for _ in range(turn):
            torch.randperm(count, generator=draw)
        chosen: list[int] = torch.randperm(count, generator=draw)[:learning].tolist()
        return chosen

    return drawn
