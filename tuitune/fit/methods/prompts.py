"""Methods that learn what stands before the text: prompt tuning, p-tuning, prefix tuning."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuitune.fit.layers import Block
from tuitune.fit.methods.base import Trained

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tuitune.fit.shaped import Shaped
    from tuitune.recipe import Recipe


def prompt_tuning(recipe: Recipe, model: Shaped) -> Trained:
    """Return one vector for each learnt token."""
    count = recipe.num_virtual_tokens
    return _trained(Block((count, _hidden(model)), embedding=True), before=count)


def p_tuning(recipe: Recipe, model: Shaped) -> Trained:
    """Return the vectors and the network of three layers that makes the prompt of them."""
    hidden = _hidden(model)
    inner = recipe.encoder_hidden_size or hidden
    vectors = Block((recipe.num_virtual_tokens, hidden), embedding=True)
    network = (*_linear(hidden, inner), *_linear(inner, inner), *_linear(inner, hidden))
    return _trained(vectors, *network, before=recipe.num_virtual_tokens)


def prefix_tuning(recipe: Recipe, model: Shaped) -> Trained:
    """Return a key and a value of each layer for each learnt token, or the network of two layers that makes them."""
    keys = (model.shape.kv_heads or 0) * (model.shape.head_dim or 0)
    wide = 2 * model.layers * keys
    if not recipe.prefix_projection:
        return _trained(Block((recipe.num_virtual_tokens, wide), embedding=True))
    inner = recipe.encoder_hidden_size or _hidden(model)
    vectors = Block((recipe.num_virtual_tokens, keys), embedding=True)
    return _trained(vectors, *_linear(keys, inner), *_linear(inner, wide))


def _trained(*blocks: Block, before: int = 0) -> Trained:
    return Trained(blocks, trainable="frozen", before=before)


def _linear(into: int, out: int) -> Iterator[Block]:
    yield Block((out, into))
    yield Block((out,))


def _hidden(model: Shaped) -> int:
    return model.shape.hidden_size or 0
