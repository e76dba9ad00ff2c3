"""The modules of a llama-like model by name, and their tensors: shapes only, from its sizes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from tuitune.fit.shapes import Likeness, ModelShape, likeness


@dataclass(frozen=True)
class Module:
    """One module with weights of its own; `out` x `into` is a linear layer's or an embedding's weight."""

    name: str
    kind: Literal["linear", "embedding", "norm"]
    out: int
    into: int = 1
    bias: bool = False

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """The shapes of its tensors."""
        weight = (self.out,) if self.kind == "norm" else (self.out, self.into)
        return [weight, (self.out,)] if self.bias else [weight]

    @property
    def inputs(self) -> int:
        """How many numbers come in; the rows of an embedding are its inputs."""
        return self.out if self.kind == "embedding" else self.into

    @property
    def outputs(self) -> int:
        """How many numbers go out."""
        return self.into if self.kind == "embedding" else self.out


@dataclass(frozen=True)
class Block:
    """So many tensors of one shape. An embedding's are told apart: 8-bit optimizers keep 32 bits for them.

    `name` is that of a single tensor, for optimizers that choose by it.
    """

    shape: tuple[int, ...]
    count: int = 1
    embedding: bool = False
    name: str = ""

    @property
    def elements(self) -> int:
        """The elements of all of them."""
        return self.count * math.prod(self.shape)


HEAD = "lm_head"
EMBEDDING = "model.embed_tokens"


def elements(blocks: Iterable[Block]) -> int:
    """Return the number of elements of all blocks."""
    return sum(block.elements for block in blocks)


@lru_cache(maxsize=64)
def modules(shape: ModelShape) -> tuple[Module, ...] | None:
    """Return every module that has weights, by the names that transformers gives them; None if not known here."""
    like, hidden, layers, vocab = likeness(shape), shape.hidden_size, shape.layers, shape.vocab_size
    if like is None or not (hidden and layers and vocab and shape.intermediate_size):
        return None
    if not (shape.heads and shape.kv_heads and shape.head_dim):
        return None
    inside = list(_layer(shape, like))
    found = [Module(EMBEDDING, "embedding", vocab, hidden)]
    for i in range(layers):
        found += [Module(f"model.layers.{i}.{m.name}", m.kind, m.out, m.into, m.bias) for m in inside]
    return (*found, Module("model.norm", "norm", hidden), Module(HEAD, "linear", vocab, hidden))


def _layer(shape: ModelShape, like: Likeness) -> Iterator[Module]:
    hidden, middle = shape.hidden_size or 0, shape.intermediate_size or 0
    queries, keys = (shape.heads or 0) * (shape.head_dim or 0), (shape.kv_heads or 0) * (shape.head_dim or 0)
    fused = shape.architecture == "phi3"
    into, out = like.qkv_bias or shape.attention_bias, like.output_bias or shape.attention_bias
    mlp = like.mlp_bias or shape.mlp_bias
    for name, size in {"qkv": queries + 2 * keys}.items() if fused else {"q": queries, "k": keys, "v": keys}.items():
        yield Module(f"self_attn.{name}_proj", "linear", size, hidden, into)
    yield Module("self_attn.o_proj", "linear", hidden, queries, out)
    for name, size in {"gate_up": 2 * middle}.items() if fused else {"gate": middle, "up": middle}.items():
        yield Module(f"mlp.{name}_proj", "linear", size, hidden, mlp)
    yield Module("mlp.down_proj", "linear", hidden, middle, mlp)
    for name in _NORMS.get(shape.architecture or "", _NORMS["llama"]):
        yield Module(name, "norm", hidden)
    if like.head_norms or like.wide_norms:
        sizes = (queries, keys) if like.wide_norms else (shape.head_dim or 0, shape.head_dim or 0)
        yield Module("self_attn.q_norm", "norm", sizes[0])
        yield Module("self_attn.k_norm", "norm", sizes[1])


_NORMS = {
    "llama": ("input_layernorm", "post_attention_layernorm"),
    "olmo2": ("post_attention_layernorm", "post_feedforward_layernorm"),
    "gemma2": (
        "input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm",
    ),
}  # fmt: skip


@lru_cache(maxsize=64)
def named(shape: ModelShape) -> tuple[Block, ...] | None:
    """Return every tensor of the model with its name; a tied head has none of its own."""
    known = modules(shape)
    if known is None:
        return None
    return tuple(block for m in known if not (shape.tied and m.name == HEAD) for block in tensors(m))


def tensors(module: Module) -> Iterator[Block]:
    """Yield the tensors of a module with their names."""
    for size, what in zip(module.shapes, ("weight", "bias"), strict=False):
        yield Block(size, embedding=module.kind == "embedding", name=f"{module.name}.{what}")


@lru_cache(maxsize=64)
def whole(shape: ModelShape) -> tuple[Block, ...] | None:
    """Return every tensor of the model, those of one shape together."""
    known = named(shape)
    return None if known is None else packed(known)


def packed(blocks: Iterable[Block]) -> tuple[Block, ...]:
    """Return the same tensors without names, those of one shape together."""
    counted: Counter[tuple[tuple[int, ...], bool]] = Counter()
    for block in blocks:
        counted[block.shape, block.embedding] += block.count
    return tuple(Block(size, count, embedding) for (size, embedding), count in counted.items())
