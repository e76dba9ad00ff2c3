"""A model as a run has it: with the blocks that are inserted and the routers that are added, in names and shapes."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tuitune.fit import layers as parts
from tuitune.fit.layers import Block, Module
from tuitune.fit.methods.base import NotKnown
from tuitune.fit.shapes import ModelShape

if TYPE_CHECKING:
    from tuitune.recipe import Recipe


@dataclass(frozen=True)
class Shaped:
    """The model's modules and tensors once it is shaped; `shape` has the layers in force."""

    shape: ModelShape
    modules: tuple[Module, ...]
    tensors: tuple[Block, ...]

    @property
    def layers(self) -> int:
        """How many layers there are."""
        return self.shape.layers or 0

    def new_layers(self, recipe: Recipe) -> Set[int]:
        """Return the numbers of the blocks that LLaMA Pro trains: the inserted ones, each at the end of its group."""
        if self.shape.inserted and not recipe.expand_blocks:
            return frozenset(self.shape.inserted)
        asked = "freeze_trainable_layers" in recipe.asked
        count = recipe.expand_blocks or (recipe.freeze_trainable_layers if asked else 0)
        if count < 1 or self.layers % count:
            raise NotKnown("the model does not say which of its blocks were inserted")
        stride = self.layers // count
        return frozenset(range(stride - 1, self.layers, stride))


def shaped(recipe: Recipe, shape: ModelShape) -> Shaped:
    """Return the model of this shape as the recipe has it made. Raises NotKnown where its sizes are not told."""
    if recipe.use_llama_pro and recipe.expand_blocks and shape.layers:
        if shape.layers % recipe.expand_blocks:
            raise NotKnown(f"{recipe.expand_blocks} blocks cannot be spread evenly over {shape.layers} layers")
        shape = replace(shape, layers=shape.layers + recipe.expand_blocks)
    known, tensors = parts.modules(shape), parts.named(shape)
    if known is None or tensors is None:
        raise NotKnown("config.json does not tell the sizes of this model")
    if recipe.mixture_of_depths == "load":
        raise NotKnown("the routers of a model with Mixture-of-Depths are not counted in advance")
    if recipe.mixture_of_depths == "convert":
        tensors = (*tensors, *_routers(shape))
    return Shaped(shape, known, tensors)


def _routers(shape: ModelShape) -> tuple[Block, ...]:
    hidden, layers = shape.hidden_size or 0, shape.layers or 0
    return tuple(Block((1, hidden), name=f"model.layers.{i}.router.weight") for i in range(1, layers, 2))
