"""What a method trains, told from the model's sizes alone."""

from __future__ import annotations

from dataclasses import dataclass

from tuitune.fit.layers import Block
from tuitune.fit.shapes import Trainable


class NotKnown(Exception):
    """It cannot be told in advance; the words say why."""


@dataclass(frozen=True)
class Trained:
    """The tensors that learn, what the method adds and keeps as it is, and what autograd keeps for it.

    added: parameters; buffers: no parameters.
    trainable: what the layers keep (see `activation_bytes_per_token`), with adapters of so much `rank`. layers: the
    last so many keep it; None for all. token: further numbers for each token, all layers together; fixed: numbers
    whatever goes through; both in the adapter's format. Where activations are computed again, only one layer's share of
    them is there. before: vectors in front of each row, computed as tokens are.
    """

    blocks: tuple[Block, ...]
    added: tuple[Block, ...] = ()
    buffers: tuple[Block, ...] = ()
    trainable: Trainable = "lora"
    rank: int = 0
    layers: int | None = None
    token: int = 0
    fixed: int = 0
    before: int = 0
