"""What each optimizer keeps for the tensors it trains, in bytes.

Left out are the counters of steps, and the two tables of 256 numbers that 8-bit optimizers share among all tensors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuitune.recipe.fields.matrix import own_optimizer
from tuitune.recipe.fields.optimizer import optim_args

if TYPE_CHECKING:
    from tuitune.fit.layers import Block
    from tuitune.recipe import Recipe

# bitsandbytes: numbers kept for each trained one.
_STATES = {"adamw": 2, "ademamix": 3, "lion": 1, "rmsprop": 1}
SMALLEST_8BIT = 4096  # elements of a tensor; below it 32 bits are kept
BLOCK_8BIT = 256  # elements that share one scale
_WITH_A_COPY = ("adamw_torch", "adagrad", "rmsprop")


def optimizer_bytes(recipe: Recipe, blocks: Sequence[Block], size: int) -> int:
    """Return the bytes of all states once the first step is done; `size`: bytes of one trained number."""
    name = recipe.optim.removeprefix("paged_")
    settings = optim_args(recipe.optim_args) or {}
    if name in ("adamw_torch", "adamw_torch_fused"):
        return _elements(blocks) * 2 * size
    if name == "sgd":
        return _elements(blocks) * size * (_number(settings, "momentum") != 0)
    if name == "adagrad":
        return _elements(blocks) * size
    if name == "rmsprop":
        extra = (_number(settings, "momentum") != 0) + (settings.get("centered", "").lower() in ("true", "1"))
        return _elements(blocks) * size * (1 + extra)
    if name == "adafactor":
        return sum(block.count * _factored(block.shape) for block in blocks) * 4
    states = _STATES[name.split("_")[0]]
    eight = name.endswith("8bit")
    return sum(block.count * quantised(block, states, eight=eight) for block in blocks)


def step_copy(recipe: Recipe, blocks: Sequence[Block], size: int) -> int:
    """Return the bytes that a step on a GPU needs besides: optimizers that work on all tensors at once copy them."""
    return _elements(blocks) * size if recipe.optim in _WITH_A_COPY and not own_optimizer(recipe) else 0


def _elements(blocks: Sequence[Block]) -> int:
    return sum(block.elements for block in blocks)


def _factored(shape: tuple[int, ...]) -> int:
    if len(shape) < 2:
        return math.prod(shape)
    return math.prod(shape[:-1]) + math.prod(shape[:-2]) * shape[-1]


def quantised(block: Block, states: int, *, eight: bool) -> int:
    """Return the bytes that bitsandbytes keeps for one tensor; small ones and embeddings keep 32 bits."""
    count = math.prod(block.shape)
    if not eight or block.embedding or count < SMALLEST_8BIT:
        return states * count * 4
    return states * (count + 4 * math.ceil(count / BLOCK_8BIT))


def _number(settings: dict[str, str], key: str) -> float:
    try:
        return float(settings.get(key, 0))
    except ValueError:
        return 0.0
