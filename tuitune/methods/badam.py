"""BAdam (Luo, Yu and Li, arXiv 2404.02827): Adam on one block of the model at a time.

As in the authors' package, the embeddings and the head are no block and stay as they are, tied or not; by layer, so
does whatever else stands outside the list of layers, such as the last norm.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import nn

from tuitune.errors import ModelError
from tuitune.methods.adamw import by_decay, settings
from tuitune.methods.badam_ratio import RatioAdamW
from tuitune.methods.blockwise import Blockwise, Turns, blocks_of
from tuitune.models.layers import tables_of

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from tuitune.recipe import Recipe


def narrow(model: nn.Module, recipe: Recipe) -> None:
    """Freeze what BAdam never trains. Raises ModelError for a start block that the model does not have."""
    for p in tables_of(model):
        p.requires_grad_(False)
    if recipe.badam_mode == "ratio":
        return
    blocks = blocks_of(model)
    start = recipe.badam_start_block
    if start is not None and start >= len(blocks):
        raise ModelError(
            f"badam_start_block: {start} does not exist: this model has {len(blocks)} layers",
            f"they are counted from 0 to {len(blocks) - 1}",
        )
    inside = {id(p) for block in blocks for p in block.parameters.values()}
    for p in model.parameters():
        if id(p) not in inside:
            p.requires_grad_(False)


def optimizer(model: nn.Module, recipe: Recipe, args: TrainingArguments) -> torch.optim.Optimizer:
    """Return BAdam's optimizer for a model that `narrow` has seen."""
    groups = by_decay(model, args)
    if recipe.badam_mode == "ratio":
        return RatioAdamW(
            groups, share=recipe.badam_update_ratio, mask=recipe.badam_mask_mode, interval=recipe.badam_switch_interval,
            seed=recipe.seed, verbose=recipe.badam_verbose, names={p: name for name, p in model.named_parameters()},
            **settings(args),
        )  # fmt: skip
    blocks = blocks_of(model)
    fixed = recipe.badam_switch_mode == "fixed"
    return Blockwise(
        groups, blocks, turns(recipe.badam_switch_mode, len(blocks), recipe.badam_start_block, recipe.seed),
        interval=-1 if fixed else recipe.badam_switch_interval, verbose=recipe.badam_verbose, **settings(args),
    )  # fmt: skip


def turns(mode: str, count: int, start: int | None, seed: int) -> Turns:
    """Return which of `count` blocks has which turn: `mode` is ascending, descending, random or fixed.

    start: the block that begins; None for that of the order: the first, descending the last, at random any.
    """
    if mode == "random":
        return lambda turn: (next(islice(_at_random(count, start, seed), turn, None)),)
    first = (count - 1 if mode == "descending" else 0) if start is None else start
    stride = {"ascending": 1, "descending": -1, "fixed": 0}[mode]
    return lambda turn: ((first + stride * turn) % count,)


def _at_random(count: int, start: int | None, seed: int) -> Iterator[int]:
    """Yield blocks in rounds that visit each once, none twice in a row; `start` begins the first round if given."""
    draw = torch.Generator().manual_seed(seed)
    last = None
    while True:
        order: list[int] = torch.randperm(count, generator=draw).tolist()
        if last is None and start is not None:
            order.remove(start)
            order.insert(0, start)
        if order[0] == last:
            order.append(order.pop(0))
        yield from order
        last = order[-1]
