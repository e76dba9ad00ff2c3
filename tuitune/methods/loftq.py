"""LoftQ (Li et al., arXiv 2310.08659, algorithm 1) on the layers of bitsandbytes, on a CPU as on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from tuitune.errors import ModelError
from tuitune.methods.lowrank import Pair, product

if TYPE_CHECKING:
    from torch import Tensor


def alternate(
    layer: Any, weight: Tensor, near: Callable[[Tensor], Pair], scale: float, rounds: int
) -> tuple[Pair | None, Pair]:
    """Return what to take out of `weight` (outputs, inputs) before it is quantised, and the adapter beside it.

    layer: the quantised one; it gives the format and must hold `weight`. near: decomposes what quantisation lost.
    The first round quantises the weight as it is (None). Of all rounds that with the smallest error counts; it is
    never above that of quantising alone. Raises ModelError where `layer` holds another weight.
    """
    if not torch.equal(dequantised(layer.weight), dequantised(quantised(layer, weight))):
        raise ModelError(
            "the model does not hold the weights of its file, so LoftQ cannot tell what quantisation lost",
            "remove loftq_init, or what changes the model as it is loaded (expand_blocks)",
        )
    wanted = weight.float()
    best: tuple[float, Pair | None, Pair] | None = None
    taken: Pair | None = None
    for _ in range(rounds):
        rest = weight if taken is None else (wanted - product(taken, scale)).to(weight.dtype)
        lost = wanted - dequantised(quantised(layer, rest)).float()
        pair = near(lost)
        error = float((lost - product(pair, scale)).norm())
        if best is None or error < best[0]:
            best = error, taken, pair
        taken = pair
    assert best is not None
    return best[1], best[2]


def requantise(layer: Any, weight: Tensor) -> None:
    """Put `weight` (outputs, inputs) into a layer of bitsandbytes, in the format that the layer has.

    Raises ModelError for layers of another library.
    """
    layer.weight = quantised(layer, weight)
    if hasattr(layer.weight, "quant_state"):
        layer.weight.module, layer.quant_state = layer, layer.weight.quant_state
    else:
        layer.state.reset_grads()


def quantised(layer: Any, weight: Tensor) -> Any:
    """Return `weight` (outputs, inputs) as the parameter that `layer` would hold. Raises ModelError."""
    import bitsandbytes

    old = layer.weight
    if isinstance(layer, bitsandbytes.nn.Linear8bitLt):
        plain = bitsandbytes.nn.Int8Params(weight.cpu(), requires_grad=False, has_fp16_weights=False)
        return plain.to(old.device)  # from the CPU: elsewhere bitsandbytes takes it for quantised already
    if not isinstance(layer, bitsandbytes.nn.Linear4bit):
        raise ModelError(
            "this adapter began with a part of the weights, which can be taken out of bitsandbytes' layers only",
            "use quantization_method: bnb, or load the model without quantisation",
        )
    return bitsandbytes.nn.Params4bit(
        weight.to(old.device),
        requires_grad=False,
        blocksize=old.quant_state.blocksize,
        compress_statistics=old.quant_state.nested,
        quant_type=old.quant_state.quant_type,
        quant_storage=old.quant_storage,
    ).to(old.device)


def dequantised(weight: Any) -> Tensor:
    """Return the numbers that a parameter of bitsandbytes stands for, (outputs, inputs)."""
    from bitsandbytes import functional

    found: Tensor
    if hasattr(weight, "quant_state"):
        found = functional.dequantize_4bit(weight.data, weight.quant_state)
    else:
        found = functional.int8_vectorwise_dequant(weight.data, weight.SCB)
    return found
