"""Bottleneck adapters: two narrow projections after halves of a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuitune.fit.layers import Block
from tuitune.fit.methods.base import Trained

if TYPE_CHECKING:
    from tuitune.fit.shaped import Shaped
    from tuitune.recipe import Recipe


def bottleneck(recipe: Recipe, model: Shaped) -> Trained:
    """Return a projection down and one up, each with a bias, for every place of every layer."""
    hidden, narrow = model.shape.hidden_size or 0, recipe.bottleneck_size
    count = model.layers * (2 if recipe.bottleneck_where == "both" else 1)
    sizes = ((narrow, hidden), (narrow,), (hidden, narrow), (hidden,))
    # What comes in, and the narrow numbers before and after their function.
    blocks = tuple(Block(size, count) for size in sizes)
    return Trained(blocks, trainable="frozen", token=count * (hidden + 3 * narrow))
