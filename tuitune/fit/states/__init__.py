"""Gradients and optimizer states of a run, for the estimate before it and for the engine's own plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from tuitune.fit.layers import Block, elements
from tuitune.fit.optimizers import optimizer_bytes
from tuitune.fit.states.base import Held
from tuitune.fit.states.matrix import adam_mini, muon
from tuitune.fit.states.partial import badam, lisa
from tuitune.fit.states.projected import apollo, galore
from tuitune.recipe.fields.matrix import own_optimizer

if TYPE_CHECKING:
    from tuitune.recipe import Recipe

__all__ = ["Held", "held"]

_OWN: dict[str, Callable[[Recipe, Sequence[Block], int, int], Held]] = {
    "use_galore": galore,
    "use_apollo": apollo,
    "use_badam": badam,
    "use_lisa": lisa,
    "use_muon": muon,
    "use_adam_mini": adam_mini,
}


def held(recipe: Recipe, blocks: Sequence[Block], size: int, head_dim: int = 0) -> Held:
    """Return the bytes of gradients and states when these tensors learn.

    size: bytes of one number that learns. An optimizer of our own needs the names of tensors, and the size of a head.
    """
    own = own_optimizer(recipe)
    if own:
        return _OWN[own](recipe, blocks, size, head_dim)
    return Held(elements(blocks) * size, optimizer_bytes(recipe, blocks, size))
