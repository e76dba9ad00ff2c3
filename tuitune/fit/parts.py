"""The seven parts of a run's memory, each by its own formula."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tuitune.fit import layers
from tuitune.fit.cut import Cut, per_token
from tuitune.fit.layers import Block
from tuitune.fit.optimizers import optimizer_bytes, step_copy
from tuitune.fit.precision import DeviceKind, Precision, precision
from tuitune.fit.shapes import ModelShape, logit_bytes_per_token

if TYPE_CHECKING:
    from tuitune.recipe import Recipe

Role = Literal["weights", "adapters", "grads", "optim", "activ", "logits", "runtime"]
ROLES: tuple[Role, ...] = ("weights", "adapters", "grads", "optim", "activ", "logits", "runtime")

# Measured: what importing the engine adds to the app; on a GPU its context with cuBLAS and the loaded kernels.
STANDING: dict[DeviceKind, int] = {"cpu": 560 << 20, "cuda": 600 << 20}
_SLICE_BYTES: dict[DeviceKind, int] = {"cpu": 24 << 20, "cuda": 512 << 20}  # models/head.py
# Holes that freed memory leaves. On a GPU they are a share of what comes and goes. The C heap keeps what it once had:
# there they are a share of all activations, recomputed or not (measured with the embedded model: it settles after a few
# steps, and the many small products of adapters leave more of them).
_GPU_HOLES = 0.05
_HEAP_HOLES = {"lora": 0.7, "full": 0.1}
_OWN_LOGITS = frozenset({"gemma2", "granite"})  # their head is more than one product


@dataclass(frozen=True)
class Load:
    """What a run holds whatever goes through it: formats, trained tensors, the model's bytes."""

    formats: Precision
    trained: tuple[Block, ...]
    weights: int
    adapters: int

    @property
    def elements(self) -> int:
        """How many numbers are trained."""
        return layers.elements(self.trained)


def load_of(
    recipe: Recipe, shape: ModelShape, *, kind: DeviceKind, bf16_units: bool, adapter: Sequence[Block] | None
) -> Load | None:
    """Return what is held, None for a model whose tensors are not known here."""
    formats = precision(recipe, kind, bf16_units=bf16_units)
    if recipe.finetuning_type == "full":
        trained = layers.whole(shape)
        if trained is None:
            return None
        return Load(formats, trained, layers.elements(trained) * formats.trained_bytes, 0)
    everything = layers.whole(shape)
    trained = tuple(adapter) if adapter is not None else _new_adapter(recipe, shape)
    if everything is None or trained is None:
        return None
    weights = layers.elements(everything) * formats.weight_bytes
    return Load(formats, trained, weights, layers.elements(trained) * formats.trained_bytes)


def _new_adapter(recipe: Recipe, shape: ModelShape) -> tuple[Block, ...] | None:
    return layers.adapters(shape, recipe.lora_rank, recipe.lora_target, recipe.additional_target, recipe.use_dora)


def parts_of(
    recipe: Recipe, shape: ModelShape, load: Load, cut: Cut, tokens: int, kind: DeviceKind
) -> dict[Role, int] | None:
    """Return the bytes of every part while `tokens` tokens go through at once; None when that is not known."""
    size = load.formats.trained_bytes
    activ = _activations(recipe, shape, load, cut, tokens)
    logits = _logits(recipe, shape, load, tokens, kind)
    if activ is None or logits is None:
        return None
    # The head is done when the layers' backward pass needs room of its own, and so are both when the step is made.
    passing = max(_working_set(recipe, shape, load, tokens) - logits, 0)
    stepping = step_copy(recipe, load.trained, size) if kind == "cuda" else 0
    coming = max(activ + passing + logits, stepping)
    return {
        "weights": load.weights,
        "adapters": load.adapters,
        "grads": load.elements * size,
        "optim": optimizer_bytes(recipe, load.trained, size),
        "activ": coming - logits,
        "logits": logits,
        "runtime": STANDING[kind] + _holes(recipe, shape, load, coming, tokens, kind),
    }


def _holes(recipe: Recipe, shape: ModelShape, load: Load, coming: int, tokens: int, kind: DeviceKind) -> int:
    if kind == "cuda":
        return int(coming * _GPU_HOLES)
    each = per_token(recipe, shape, load.formats, recompute=False) or 0
    return int(tokens * each * _HEAP_HOLES[recipe.finetuning_type])


def _activations(recipe: Recipe, shape: ModelShape, load: Load, cut: Cut, tokens: int) -> int | None:
    each = per_token(recipe, shape, load.formats, recompute=cut.recompute, dropout=recipe.lora_dropout > 0)
    if each is None:
        return None
    if recipe.use_dora and recipe.finetuning_type == "lora":
        # Both results are kept in fp32 to learn the lengths.
        outputs = _adapted_outputs(shape, recipe.lora_target)
        each += 8 * (outputs // (shape.layers or 1) if cut.recompute else outputs)
    return tokens * each + _casts(load)


def _casts(load: Load) -> int:
    # Autocast keeps a half copy of every fp32 matrix that it multiplies with.
    if load.formats.autocast == "no":
        return 0
    return 2 * sum(block.elements for block in load.trained if len(block.shape) > 1 and not block.embedding)


def _adapted_outputs(shape: ModelShape, targets: tuple[str, ...]) -> int:
    lengths = layers.adapters(shape, 1, targets, (), True) or ()
    return sum(block.elements for block in lengths if len(block.shape) == 1)


def _working_set(recipe: Recipe, shape: ModelShape, load: Load, tokens: int) -> int:
    """Return the gradients of one layer's activations; DoRA also builds its largest weight twice to measure it."""
    hidden, middle = shape.hidden_size or 0, shape.intermediate_size or 0
    flowing = tokens * (2 * hidden + 2 * middle) * load.formats.compute_bytes
    return flowing + (8 * hidden * middle if recipe.use_dora else 0)


def _logits(recipe: Recipe, shape: ModelShape, load: Load, tokens: int, kind: DeviceKind) -> int | None:
    """Return the bytes of the head: slices where it is one product, else all logits at once."""
    compute, vocab, hidden = load.formats.compute_bytes, shape.vocab_size, shape.hidden_size
    if not vocab or not hidden:
        return None
    whole = recipe.finetuning_type == "full"
    if _has_own_logits(recipe, shape):
        each = logit_bytes_per_token(shape, bytes_per_element=compute)
        return None if each is None else tokens * each
    rows = min(tokens, max(16, _SLICE_BYTES[kind] // (vocab * 4)))
    held = load.formats.trained_bytes if whole else load.formats.weight_bytes
    # A slice in fp32 and its exponentials, the gradient of the hidden states, the head's weight in another format.
    size = rows * vocab * 8 + tokens * hidden * 4 + (2 * vocab * hidden * compute if held != compute else 0)
    return size + (2 * vocab * hidden * 4 if whole else 0)


def _has_own_logits(recipe: Recipe, shape: ModelShape) -> bool:
    if shape.architecture in _OWN_LOGITS:
        return True
    if recipe.finetuning_type == "full":
        return False
    touched = layers.targeted(shape, layers.HEAD, recipe.lora_target)
    return touched or layers.trained_whole(shape, layers.HEAD, recipe.additional_target)
