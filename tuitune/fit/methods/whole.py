"""Methods that change the model's own weights: all of them, or some layers and modules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Set
from typing import TYPE_CHECKING

from tuitune.fit.layers import EMBEDDING, HEAD
from tuitune.fit.methods.base import NotKnown, Trained

if TYPE_CHECKING:
    from tuitune.fit.shaped import Shaped
    from tuitune.recipe import Recipe

LAYER = re.compile(r"model\.layers\.(\d+)\.")


def full(recipe: Recipe, model: Shaped) -> Trained:
    """Return every tensor; of BAdam's, those that have a turn at some time: no embedding, no head."""
    blocks = model.tensors
    if recipe.use_badam:
        blocks = tuple(b for b in blocks if not b.embedding and b.name != f"{HEAD}.weight")
        if recipe.badam_mode == "layer":
            blocks = tuple(b for b in blocks if LAYER.match(b.name))
    # Every second layer of a model with routers computes a share of the tokens.
    spared = int(model.layers // 2 * (1 - recipe.mod_capacity)) if recipe.mixture_of_depths else 0
    return Trained(blocks, trainable="full", layers=model.layers - spared)


def freeze(recipe: Recipe, model: Shaped) -> Trained:
    """Return the tensors of the chosen modules in the chosen layers, and of the chosen ones outside."""
    layers = model.new_layers(recipe) if recipe.use_llama_pro else _ends(recipe.freeze_trainable_layers, model.layers)
    inside, outside = recipe.freeze_trainable_modules, recipe.freeze_extra_modules
    if model.shape.tied and HEAD in outside:  # both names mean the same tensor
        outside = (*outside, EMBEDDING.rpartition(".")[2])
    blocks = tuple(block for block in model.tensors if _learns(block.name, layers, inside, outside))
    if not blocks:
        raise NotKnown(f"freeze_trainable_modules {', '.join(inside)} names no module of this model")
    below = any(block.embedding for block in blocks)
    numbers = [int(at[1]) for block in blocks if (at := LAYER.match(block.name))]
    return Trained(blocks, trainable="full", layers=model.layers - (0 if below else min(numbers, default=model.layers)))


def _ends(count: int, layers: int) -> Set[int]:
    if abs(count) > layers:
        raise NotKnown(f"freeze_trainable_layers is {count}, but the model has {layers} layers")
    return frozenset(range(layers - count, layers) if count > 0 else range(-count))


def _learns(name: str, layers: Set[int], inside: Iterable[str], outside: Iterable[str]) -> bool:
    at = LAYER.match(name)
    if at is None:
        return _named(name, outside)
    return int(at[1]) in layers and (tuple(inside) == ("all",) or _named(name[at.end() :], inside))


def _named(parameter: str, names: Iterable[str]) -> bool:
    return any(f".{name}." in f".{parameter}" for name in names)
