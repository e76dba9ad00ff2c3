"""Muon and Adam-mini: fewer moments for matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuitune.fit.layers import Block, elements
from tuitune.fit.states.base import FP32, Held, layer_of

if TYPE_CHECKING:
    from tuitune.recipe import Recipe

_BY_HEAD = ("q_proj", "k_proj", "wq", "wk", "query", "key", "q_lin", "k_lin")


def muon(recipe: Recipe, blocks: Sequence[Block], size: int, head_dim: int) -> Held:
    """Return one momentum, as wide as the weights, for each matrix in the layers, Adam's two in fp32 for the rest."""
    states = 0
    for block in blocks:
        matrix = layer_of(block) is not None and len(block.shape) in (2, 3) and min(block.shape) > 1
        states += block.elements * (size if matrix else 2 * FP32)
    return Held(elements(blocks) * size, states)


def adam_mini(recipe: Recipe, blocks: Sequence[Block], size: int, head_dim: int) -> Held:
    """Return a momentum as wide as the weights, and one fp32 number for each head, row, or vector."""
    states = sum(block.elements * size + block.count * FP32 * _parts(block, head_dim) for block in blocks)
    return Held(elements(blocks) * size, states)


def _parts(block: Block, head_dim: int) -> int:
    if len(block.shape) < 2:
        return 1
    rows = block.shape[0]
    by_head = block.name.split(".")[-2:-1] and block.name.split(".")[-2] in _BY_HEAD
    return rows // head_dim if by_head and head_dim and rows % head_dim == 0 else rows
