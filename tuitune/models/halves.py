"""The two halves of a decoder layer, attention and MLP, in whatever family."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Literal

from tuitune.errors import ModelError
from tuitune.models.layers import decoder_layers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn
    from transformers import PreTrainedModel

_MLP = ("mlp", "ffn", "feed_forward", "ff", "moe")


def halves(model: PreTrainedModel, where: str) -> list[nn.Module]:
    """Return the attention, the MLP ("mlp") or "both" of each layer, in their order.

    Raises ModelError where they cannot be found, or add the residual themselves.
    """
    found: list[nn.Module] = []
    missing = {"attention", "mlp"} if where == "both" else {where}
    for layer in decoder_layers(model)[1]:
        for half in ("attention", "mlp"):
            place = _half(layer, half) if where in ("both", half) else None
            if place is not None:
                found.append(place)
                missing.discard(half)
    if missing:
        raise ModelError(
            f"the layers of {type(model).__name__} have no {' and no '.join(sorted(missing))} that could be found",
            "use finetuning_type: lora",
        )
    if any("residual" in inspect.signature(place.forward).parameters for place in found):
        raise ModelError(
            f"the layers of {type(model).__name__} add the residual before an adapter could stand",
            "use finetuning_type: lora",
        )
    return found


def _half(layer: nn.Module, half: Literal["attention", "mlp"]) -> nn.Module | None:
    """Return the attention of a layer, or what computes its MLP: found by name, else the last module with matrices."""
    with_matrices = {
        name: child
        for name, child in layer.named_children()
        if any(tensor.ndim > 1 for tensor in held(child)) and "norm" not in name and "router" not in name
    }
    attention = {name: child for name, child in with_matrices.items() if "att" in name}
    if half == "attention":
        return next(iter(attention.values()), None)
    others = {name: child for name, child in with_matrices.items() if name not in attention}
    named = [child for name, child in others.items() if any(word in name for word in _MLP)]
    return next(reversed(named or list(others.values())), None)


def held(module: nn.Module) -> Iterator[Tensor]:
    """Yield parameters and buffers: some quantised layers have no parameters at all."""
    yield from module.parameters()
    yield from module.buffers()
