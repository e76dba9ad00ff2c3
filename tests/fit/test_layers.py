"""What the estimate counts is what transformers and peft build, tensor by tensor."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.fit.asked import shape_of_model
from tests.tiny import tiny_model
from tuitune.fit.layers import Block, elements, modules, named, whole
from tuitune.fit.shapes import ModelShape

_SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 160,
    "pad_token_id": 0,
}
_KINDS = [
    ("llama", {}),
    ("llama", {"attention_bias": True, "mlp_bias": True, "tie_word_embeddings": True}),
    ("mistral", {}),
    ("phi3", {}),
    ("granite", {}),
    ("smollm3", {}),
    ("gemma", {"head_dim": 16}),
    ("gemma2", {"head_dim": 16}),
    ("qwen2", {}),
    ("qwen3", {"head_dim": 32}),
    ("olmo2", {}),
]


def _counted(blocks: tuple[Block, ...] | None) -> Counter[tuple[int, ...]]:
    assert blocks is not None
    counts: Counter[tuple[int, ...]] = Counter()
    for block in blocks:
        counts[block.shape] += block.count
    return counts


@pytest.mark.parametrize(("kind", "extra"), _KINDS)
def test_every_tensor_of_every_known_architecture(kind: str, extra: dict[str, Any]) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(kind, **_SIZES, **extra)
    with torch.device("meta"):
        built = AutoModelForCausalLM.from_config(config)
    shape = ModelShape.of(config.to_dict())
    assert _counted(whole(shape)) == Counter(tuple(p.shape) for p in built.parameters())
    names = {name for name, module in built.named_modules() if any(True for _ in module.parameters(recurse=False))}
    assert {module.name for module in modules(shape) or ()} == names
    assert elements(whole(shape) or ()) == shape.parameters


def test_what_is_not_known_is_not_guessed() -> None:
    assert modules(ModelShape(architecture="brand_new", hidden_size=8)) is None
    assert whole(ModelShape.of({"model_type": "llama", "hidden_size": 8})) is None
    assert named(ModelShape()) is None


def test_the_embedding_is_told_apart() -> None:
    shape = shape_of_model(tiny_model())
    assert [block.shape for block in whole(shape) or () if block.embedding] == [(512, 64)]


def test_names_are_those_of_the_model() -> None:
    model = tiny_model(tie_word_embeddings=False, attention_bias=True)
    found = {block.name: block.shape for block in named(shape_of_model(model)) or ()}
    assert found == {name: tuple(p.shape) for name, p in model.named_parameters()}
