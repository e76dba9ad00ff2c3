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


def _copy(recipe: Recipe, shape: ModelShape, formats: Precision) -> int:
    """Return the bytes of the model as it was, which ASFT holds on to; beside most adapters it is there anyway."""
    moved = recipe.pissa_init or recipe.loftq_init
    if not (recipe.use_asft_loss and (recipe.whole or moved)):
        return 0
    if recipe.quantization_bit is not None:
        known = layers.modules(shape) or ()
        return quantised.weight_bytes(recipe, known, bool(shape.tied), formats.compute_bytes)
    return layers.elements(layers.whole(shape) or ()) * formats.compute_bytes
