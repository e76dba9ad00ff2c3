"""The bytes of weights that are loaded with few bits: bitsandbytes' formats and hqq's."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tuitune.fit.layers import HEAD, Module
from tuitune.fit.methods.base import NotKnown

if TYPE_CHECKING:
    from tuitune.recipe import Recipe

_GROUP = 64  # weights that share a scale
_NESTED = 256  # scales that share one themselves
_CODES = 16 * 4, 256 * 4  # the table of numbers that 4 bits stand for, and that of 8-bit scales, in fp32
_HQQ_PACKED = {1: (8, 1), 2: (4, 1), 3: (10, 4), 4: (2, 1), 8: (1, 1)}  # bits: weights in one number, its bytes


def weight_bytes(recipe: Recipe, modules: Iterable[Module], tied: bool, size: int) -> int:
    """Return the bytes of all weights: linear layers in few bits, embeddings, head, norms, biases as they are.

    size: bytes of a weight that is not quantised.
    """
    total = 0
    for module in modules:
        if module.name == HEAD and tied:
            continue
        weight, *rest = (math.prod(shape) for shape in module.shapes)
        total += _packed(recipe, module, size) if is_quantised(recipe, module) else weight * size
        total += sum(rest) * size
    return total


def is_quantised(recipe: Recipe, module: Module) -> bool:
    """Tell whether a module's weight is packed when the model is loaded."""
    if recipe.quantization_bit is None or module.kind != "linear" or module.name == HEAD:
        return False
    return recipe.quantization_method != "hqq" or module.out * module.into % _GROUP == 0


def _packed(recipe: Recipe, module: Module, size: int) -> int:
    weights, bits = module.out * module.into, recipe.quantization_bit
    if recipe.quantization_method == "hqq":
        return _hqq(weights, bits or 0, size)
    if bits == 8:
        return weights + 4 * module.out  # one scale for each row
    scales = math.ceil(weights / _GROUP)
    if not recipe.double_quantization:
        return math.ceil(weights / 2) + 4 * scales + _CODES[0]
    # The scales in 8 bits with scales of their own, and the mean that was taken from them.
    return math.ceil(weights / 2) + scales + 4 * math.ceil(scales / _NESTED) + 4 + sum(_CODES)


def _hqq(weights: int, bits: int, size: int) -> int:
    if bits not in _HQQ_PACKED:
        raise NotKnown(f"how hqq packs {bits} bits is not known here")
    together, each = _HQQ_PACKED[bits]
    groups = weights // _GROUP
    # Packed along the weights of a group; every group has a scale and a zero.
    return math.ceil(_GROUP / together) * groups * each + 2 * groups * size
