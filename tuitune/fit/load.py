"""What a run holds whatever goes through it: weights, adapters, gradients, optimizer states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tuitune.fit import layers, quantised
from tuitune.fit.count import Count
from tuitune.fit.layers import Block
from tuitune.fit.methods import NotKnown, Trained, trained
from tuitune.fit.precision import DeviceKind, Precision, precision
from tuitune.fit.shaped import Shaped, shaped
from tuitune.fit.states import Held, held
from tuitune.recipe.fields.preference import VALUED, needs_reference

if TYPE_CHECKING:
    from tuitune.fit.shapes import ModelShape
    from tuitune.recipe import Recipe


@dataclass(frozen=True)
class Load:
    """Formats, the model as the run has it, what learns, and the bytes of it all."""

    formats: Precision
    model: Shaped
    trained: Trained
    weights: int
    adapters: int
    coming: Held

    @property
    def count(self) -> Count:
        """How many numbers learn, and how many there are."""
        learning, own = layers.elements(self.trained.blocks), layers.elements(self.model.tensors)
        return Count(learning, own + (learning if self.adapters else 0) + layers.elements(self.trained.added))


def load_of(
    recipe: Recipe, shape: ModelShape, *, kind: DeviceKind, bf16_units: bool, adapter: Sequence[Block] | None
) -> Load:
    """Return what is held; `adapter`: the tensors of one that is trained further. Raises NotKnown."""
    formats = precision(recipe, kind, bf16_units=bf16_units)
    model = shaped(recipe, shape)
    learning = trained(recipe, model)
    if adapter is not None and not recipe.whole:
        learning = replace(learning, blocks=tuple(adapter))
    if not learning.blocks:
        raise NotKnown("nothing of this model would learn")
    weights, adapters = _weights(recipe, model, learning, formats)
    head = _value_head(recipe, shape)
    learning = replace(learning, blocks=(*learning.blocks, *head))
    if recipe.whole:
        weights += layers.elements(head) * formats.trained_bytes
    else:
        adapters += layers.elements(head) * formats.trained_bytes
    coming = held(recipe, learning.blocks, formats.trained_bytes, model.shape.head_dim or 0)
    return Load(formats, model, learning, weights + _copy(recipe, shape, formats), adapters, coming)


def _weights(recipe: Recipe, model: Shaped, learning: Trained, formats: Precision) -> tuple[int, int]:
    """Return the bytes of the model's weights, and of what the method adds."""
    learnt = layers.elements(learning.blocks)
    if recipe.whole:
        frozen = layers.elements(model.tensors) - learnt
        return learnt * formats.trained_bytes + frozen * _frozen_bytes(recipe, formats), 0
    size = formats.weight_bytes
    added = layers.elements((*learning.blocks, *learning.added, *learning.buffers))
    if recipe.quantization_bit is None:
        own = layers.elements(model.tensors) * size
    else:
        own = quantised.weight_bytes(recipe, model.modules, bool(model.shape.tied), size)
    return own, added * formats.trained_bytes


def _frozen_bytes(recipe: Recipe, formats: Precision) -> int:
    # Full training brings everything into the format of training, what has no turn too; freezing leaves it as loaded.
    return formats.trained_bytes if recipe.finetuning_type == "full" else formats.weight_bytes


def _value_head(recipe: Recipe, shape: ModelShape) -> tuple[Block, ...]:
    """Return the head that rm and ppo train beside the model."""
    if recipe.stage not in VALUED:
        return ()
    return (Block((1, shape.hidden_size or 0), name="v_head.summary.weight"), Block((1,), name="v_head.summary.bias"))


def _copy(recipe: Recipe, shape: ModelShape, formats: Precision) -> int:
    """Return the bytes of a reference model that stays in memory; beside most adapters it is there anyway.

    A model of its own is counted as one of the same size.
    """
    if not needs_reference(recipe) or recipe.precompute_ref_log_probs:
        return 0
    moved = recipe.stage == "sft" and (recipe.pissa_init or recipe.loftq_init)
    if not (recipe.whole or moved or recipe.ref_model):
        return 0
    bits = recipe.ref_model_quantization_bit if recipe.ref_model else recipe.quantization_bit
    if bits is not None:
        known = layers.modules(shape) or ()
        asked = recipe.model_copy(update={"quantization_bit": bits})
        return quantised.weight_bytes(asked, known, bool(shape.tied), formats.compute_bytes)
    # In the format of the trained model's weights, so that both compute the same.
    return layers.elements(layers.whole(shape) or ()) * _frozen_bytes(recipe, formats)
