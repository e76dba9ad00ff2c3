"""Adapters of low rank: LoRA with DoRA, AdaLoRA, VeRA."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from tuitune.fit.layers import HEAD, Block, Module, packed, tensors
from tuitune.fit.methods.base import NotKnown, Trained
from tuitune.fit.targets import adapted, copied

if TYPE_CHECKING:
    from tuitune.fit.shaped import Shaped
    from tuitune.recipe import Recipe


def lora(recipe: Recipe, model: Shaped) -> Trained:
    """Return A and B of each target, DoRA's lengths, and copies of modules that are trained whole."""
    found, rank = targets(recipe, model), recipe.lora_rank
    # A head that is the embedding learns with its matrices.
    once = [m for m in found if not (model.shape.tied and m.name == HEAD)]
    blocks = [block for m in once for block in _pair(m, rank)]
    kept = 0
    if recipe.use_dora:
        blocks += [Block((m.outputs,)) for m in found]
        kept = 2 * sum(m.outputs for m in found)  # both results, to learn the lengths
    above = model.layers - min(model.new_layers(recipe)) if recipe.use_llama_pro else None
    return Trained(packed([*whole(recipe, model), *blocks]), rank=rank, layers=above, token=kept)


def adalora(recipe: Recipe, model: Shaped) -> Trained:
    """Return A, B and the singular values of each target at the rank it begins with; each also has its rank."""
    found, rank = targets(recipe, model), recipe.adalora_init_rank
    _only_linear(found, "AdaLoRA")
    blocks = [block for m in found for block in (*_pair(m, rank), Block((rank, 1)))]
    added = (Block((1,), len(found)),)
    return Trained(packed([*whole(recipe, model), *blocks]), added, rank=2 * rank)


def vera(recipe: Recipe, model: Shaped) -> Trained:
    """Return two vectors for each target; all share two random matrices as wide as the widest of them."""
    found, rank = targets(recipe, model), recipe.lora_rank
    _only_linear(found, "VeRA")
    blocks = [block for m in found for block in (Block((m.outputs,)), Block((rank,)))]
    shared = (Block((rank, max(m.inputs for m in found))), Block((max(m.outputs for m in found), rank)))
    # What the matrices see is not kept, for they do not learn; what the vectors scale is.
    kept = sum(m.outputs + 2 * rank for m in found)
    return Trained(packed([*whole(recipe, model), *blocks]), buffers=shared, trainable="frozen", token=kept)


def targets(recipe: Recipe, model: Shaped) -> list[Module]:
    """Return the modules that get an adapter; raises NotKnown where the recipe's names fit none."""
    found = adapted(model.modules, recipe.lora_target, recipe.additional_target, tied=bool(model.shape.tied))
    if recipe.use_llama_pro:
        new = model.new_layers(recipe)
        found = [m for m in found if (at := re.match(r"model\.layers\.(\d+)\.", m.name)) and int(at[1]) in new]
    if not found:
        raise NotKnown(f"lora_target {', '.join(recipe.lora_target)} names no layer of this model")
    return found


def whole(recipe: Recipe, model: Shaped) -> Iterator[Block]:
    """Yield the tensors of modules that `additional_target` trains whole: copies of the model's own."""
    for module in copied(model.modules, recipe.additional_target, tied=bool(model.shape.tied)):
        yield from tensors(module)


def _pair(module: Module, rank: int) -> Iterable[Block]:
    return Block((rank, module.inputs)), Block((module.outputs, rank))


def _only_linear(found: Iterable[Module], what: str) -> None:
    other = [m.name for m in found if m.kind != "linear"]
    if other:
        raise NotKnown(f"{what} adapts linear layers only, and lora_target names {', '.join(other[:3])}")
