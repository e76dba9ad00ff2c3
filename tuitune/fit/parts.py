"""The seven parts of a run's memory, each by its own formula."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tuitune.fit.cut import Cut, activations, per_token
from tuitune.fit.layers import EMBEDDING, HEAD
from tuitune.fit.optimizers import step_copy
from tuitune.fit.precision import DeviceKind
from tuitune.fit.shapes import ModelShape, logit_bytes_per_token
from tuitune.fit.targets import is_whole, targeted
from tuitune.recipe.fields.method import BESIDE_LAYERS

if TYPE_CHECKING:
    from tuitune.fit.load import Load
    from tuitune.recipe import Recipe

Role = Literal["weights", "adapters", "grads", "optim", "activ", "logits", "runtime"]
ROLES: tuple[Role, ...] = ("weights", "adapters", "grads", "optim", "activ", "logits", "runtime")
ROLE_NAMES: dict[Role, str] = {
    "weights": "weights",
    "adapters": "adapters",
    "grads": "gradients",
    "optim": "optimizer",
    "activ": "activations",
    "logits": "logits",
    "runtime": "runtime",
}

# Measured: what importing the engine adds to the app; on a GPU its context with cuBLAS and the loaded kernels.
STANDING: dict[DeviceKind, int] = {"cpu": 560 << 20, "cuda": 600 << 20}
_SLICE_BYTES: dict[DeviceKind, int] = {"cpu": 24 << 20, "cuda": 512 << 20}  # models/head_loss.py
# Holes that freed memory leaves. On a GPU they are a share of what comes and goes. The C heap keeps what it once had:
# there they are a share of all activations, recomputed or not (measured with the embedded model: it settles after a few
# steps, and the many small products of adapters leave more of them).
_GPU_HOLES = 0.05
_HEAP_HOLES = {"adapters": 0.7, "whole": 0.1}
_OWN_LOGITS = frozenset({"gemma2", "granite"})  # their head is more than one product


def parts_of(
    recipe: Recipe, shape: ModelShape, load: Load, cut: Cut, tokens: int, kind: DeviceKind
) -> dict[Role, int] | None:
    """Return the bytes of every part while `tokens` tokens go through at once; None when that is not known."""
    activ = _activations(recipe, shape, load, cut, tokens)
    logits = _logits(recipe, shape, load, tokens, kind)
    if activ is None or logits is None:
        return None
    # The head is done when the layers' backward pass needs room of its own, and so are both when the step is made.
    passing = max(_working_set(recipe, shape, load, tokens) - logits, 0)
    stepping = step_copy(recipe, load.trained.blocks, load.formats.trained_bytes) if kind == "cuda" else 0
    coming = max(activ + passing + logits, stepping)
    return {
        "weights": load.weights,
        "adapters": load.adapters,
        "grads": load.coming.grads,
        "optim": load.coming.states,
        "activ": coming - logits,
        "logits": logits,
        "runtime": STANDING[kind] + _holes(recipe, shape, load, coming, tokens, kind),
    }


def _holes(recipe: Recipe, shape: ModelShape, load: Load, coming: int, tokens: int, kind: DeviceKind) -> int:
    if kind == "cuda":
        return int(coming * _GPU_HOLES)
    each = per_token(shape, load.formats, load.trained, recompute=False) or 0
    return int(tokens * each * _HEAP_HOLES["whole" if recipe.whole else "adapters"])


def _activations(recipe: Recipe, shape: ModelShape, load: Load, cut: Cut, tokens: int) -> int | None:
    dropping = recipe.lora_dropout > 0 and recipe.finetuning_type in ("lora", "adalora", "vera")
    held = activations(shape, load.formats, load.trained, tokens, recompute=cut.recompute, dropout=dropping)
    return None if held is None else held + _casts(recipe, load)


def _casts(recipe: Recipe, load: Load) -> int:
    # Autocast keeps a half copy of every fp32 matrix that it multiplies with.
    if load.formats.autocast == "no":
        return 0
    multiplied = load.model.tensors if recipe.finetuning_type == "full" else load.trained.blocks
    return 2 * sum(block.elements for block in multiplied if len(block.shape) > 1 and not block.embedding)


def _working_set(recipe: Recipe, shape: ModelShape, load: Load, tokens: int) -> int:
    """Return the gradients of one layer's activations, and what the method makes of its largest weight to use it."""
    hidden, middle = shape.hidden_size or 0, shape.intermediate_size or 0
    flowing = tokens * (2 * hidden + 2 * middle) * load.formats.compute_bytes
    largest = hidden * middle
    # DoRA builds it twice to measure it; few bits are made whole; a product as large as it has a gradient.
    flowing += 8 * largest if recipe.use_dora else 0
    flowing += load.formats.compute_bytes * largest if recipe.quantization_bit else 0
    return flowing + (4 * largest if load.trained.fixed else 0)


def _logits(recipe: Recipe, shape: ModelShape, load: Load, tokens: int, kind: DeviceKind) -> int | None:
    """Return the bytes of the head: slices where it is one product, else all logits at once."""
    compute, vocab, hidden = load.formats.compute_bytes, shape.vocab_size, shape.hidden_size
    if not vocab or not hidden:
        return None
    whole = _learns_head(load)
    if _has_own_logits(recipe, shape):
        each = logit_bytes_per_token(shape, bytes_per_element=compute)
        return None if each is None else tokens * each
    rows = min(tokens, max(16, _SLICE_BYTES[kind] // (vocab * 4)))
    held = load.formats.trained_bytes if whole else load.formats.weight_bytes
    # A slice in fp32 and its exponentials, the gradient of the hidden states, the head's weight in another format.
    size = rows * vocab * 8 + tokens * hidden * 4 + (2 * vocab * hidden * compute if held != compute else 0)
    return size + (2 * vocab * hidden * 4 if whole else 0)


def _learns_head(load: Load) -> bool:
    """Whether the weight that makes logits gets a gradient of its own; tied, it is the embedding."""
    name = f"{EMBEDDING if load.model.shape.tied else HEAD}.weight"
    return any(block.name == name for block in load.trained.blocks)


def _has_own_logits(recipe: Recipe, shape: ModelShape) -> bool:
    if shape.architecture in _OWN_LOGITS:
        return True
    if recipe.finetuning_type not in BESIDE_LAYERS:
        return False
    targets = recipe.oft_target if recipe.finetuning_type == "oft" else recipe.lora_target
    return targeted(HEAD, "linear", targets) or is_whole(HEAD, recipe.additional_target)
