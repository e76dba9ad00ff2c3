"""GaLore and APOLLO: states in a projection of low rank for the targets, AdamW's for everything else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuitune.fit.layers import Block, elements
from tuitune.fit.optimizers import quantised
from tuitune.fit.states.base import FP32, Held, is_head
from tuitune.recipe.fields.matrix import EIGHT_BIT_ADAMW

if TYPE_CHECKING:
    from tuitune.recipe import Recipe


def galore(recipe: Recipe, blocks: Sequence[Block], size: int, head_dim: int) -> Held:
    """Return two moments of the projected gradient and the projector for each target; Adam's for the rest."""
    eight = recipe.optim in EIGHT_BIT_ADAMW
    states = summed = largest = 0
    for block in blocks:
        if _is_target(block, recipe.galore_target):
            narrow, projector = _projected(block.shape, recipe.galore_rank, recipe.galore_proj_type)
            states += block.count * (_moments(narrow, eight) + projector * size)
            # What was added up, and in a step that renews the projection the new one.
            summed += block.count * (narrow[0] * narrow[1] * FP32 + projector * size)
            largest = max(largest, block.elements // block.count * size)
        else:
            states += block.count * _moments(block.shape, eight and not block.embedding)
            summed += block.elements * size
    return Held(_gradients(recipe, blocks, size, summed + largest, layerwise=recipe.galore_layerwise), states)


def apollo(recipe: Recipe, blocks: Sequence[Block], size: int, head_dim: int) -> Held:
    """Return two moments of the projected gradient and a norm for each target; a random projection is not kept."""
    states = 0
    for block in blocks:
        if _is_target(block, recipe.apollo_target):
            narrow, projector = _projected(block.shape, recipe.apollo_rank, recipe.apollo_proj_type)
            kept = projector * size if recipe.apollo_proj == "svd" else 0
            states += block.count * (_moments(narrow, False) + FP32 + kept)
        else:
            states += block.count * _moments(block.shape, False)
    whole = elements(blocks) * size
    return Held(_gradients(recipe, blocks, size, whole, layerwise=recipe.apollo_layerwise), states)


def _projected(shape: tuple[int, ...], rank: int, kind: str) -> tuple[tuple[int, int], int]:
    """Return the shape of a gradient in the subspace, and how many numbers its bases have."""
    rows, columns = shape
    rank = min(rank, rows, columns)
    if kind == "full":
        return (rank, rank), rank * (rows + columns)
    right = kind == "right" or (kind != "left" and (rows >= columns) == (kind == "std"))
    return ((rows, rank), rank * columns) if right else ((rank, columns), rank * rows)


def _gradients(recipe: Recipe, blocks: Sequence[Block], size: int, summed: int, *, layerwise: bool) -> int:
    if not layerwise:
        return elements(blocks) * size
    largest = max((block.elements // block.count for block in blocks), default=0) * size
    # A step of one row is one part: nothing is added up.
    return max(largest, summed) if recipe.rows_per_step > 1 else largest


def _moments(shape: tuple[int, ...], eight: bool) -> int:
    return quantised(Block(shape), 2, eight=eight)


def _is_target(block: Block, names: tuple[str, ...]) -> bool:
    module, _, last = block.name.rpartition(".")
    if last != "weight" or len(block.shape) != 2 or block.embedding:
        return False
    return not is_head(block) if names == ("all",) else any(name in module for name in names)
