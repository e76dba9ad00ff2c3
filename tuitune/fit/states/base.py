"""What optimizers of our own hold beside the weights."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tuitune.fit.layers import HEAD, Block

FP32 = 4
_NUMBER = re.compile(r"(?:^|\.)(\d+)\.")


@dataclass(frozen=True)
class Held:
    """Bytes of gradients, and of states once every tensor has had its turn, at the worst moment of a step."""

    grads: int
    states: int


def layer_of(block: Block) -> int | None:
    """Return the number of the layer that a tensor stands in, None for one outside."""
    found = _NUMBER.search(block.name)
    return int(found[1]) if found else None


def in_layers(blocks: Sequence[Block]) -> dict[int, int]:
    """Return the elements of each layer by its number."""
    sums: dict[int, int] = {}
    for block in blocks:
        number = layer_of(block)
        if number is not None:
            sums[number] = sums.get(number, 0) + block.elements
    return sums


def elements_outside(blocks: Sequence[Block]) -> int:
    """Return the elements that stand in no layer."""
    return sum(block.elements for block in blocks if layer_of(block) is None)


def is_head(block: Block) -> bool:
    """Tell whether it is the weight of the head, by its usual names."""
    return block.name.rpartition(".")[0].endswith((HEAD, "embed_out"))


def adam(size: int) -> int:
    """Return the bytes for each number that learns: two moments in fp32, and a copy of weights of 16 bits."""
    return 2 * FP32 + (FP32 if size < FP32 else 0)
