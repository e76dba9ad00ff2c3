"""BAdam and LISA: gradients and states of a part of the model at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuitune.fit.layers import Block, elements
from tuitune.fit.states.base import FP32, Held, adam, elements_outside, in_layers

if TYPE_CHECKING:
    from tuitune.recipe import Recipe


def badam(recipe: Recipe, blocks: Sequence[Block], size: int, head_dim: int) -> Held:
    """Return what one block has, by layer; all gradients and the states of a share, by ratio."""
    if recipe.badam_mode == "layer":
        largest = max(in_layers(blocks).values(), default=0)
        return Held(largest * size, largest * adam(size))
    return Held(elements(blocks) * size, sum(block.count * _share(recipe, block, size) for block in blocks))


def _share(recipe: Recipe, block: Block, size: int) -> int:
    each = elements([block]) // block.count
    if len(block.shape) < 2:
        return each * adam(size)
    learning = max(1, round(each * recipe.badam_update_ratio))
    drawn = FP32 if recipe.badam_mask_mode == "scatter" else 0  # the places of what was drawn
    return learning * (adam(size) + drawn)


def lisa(recipe: Recipe, blocks: Sequence[Block], size: int, head_dim: int) -> Held:
    """Return what the drawn layers have, and everything outside of the layers, which always learns."""
    layers = sorted(in_layers(blocks).values(), reverse=True)
    learning = elements_outside(blocks) + sum(layers[: recipe.lisa_activated_layers])
    return Held(learning * size, learning * adam(size))
