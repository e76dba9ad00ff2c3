"""What the estimate counts is what transformers and peft build, tensor by tensor."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from tests.fit.asked import recipe, shape_of_model
from tests.tiny import tiny_model
from tuitune.fit.layers import Block, adapters, elements, modules, whole
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


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"lora_rank": 3, "use_dora": True},
        {"lora_target": "q_proj,v_proj"},
        {"lora_target": "model.layers.1.mlp.up_proj"},
        {"lora_target": "embed_tokens,q_proj", "use_dora": True},
        {"lora_target": "lm_head,o_proj"},
        {"additional_target": "embed_tokens,lm_head"},
        {"additional_target": "norm"},
        {"additional_target": "mlp"},
        {"lora_target": "q_proj,o_proj", "additional_target": "q_proj"},
    ],
)
def test_adapters_are_those_that_peft_makes(asked: dict[str, Any], tied: bool) -> None:
    from tuitune.methods.lora import Lora

    model: Any = tiny_model(tie_word_embeddings=tied)
    shape, wanted = shape_of_model(model), recipe(**asked)
    made: Any = Lora().prepare(model, wanted)
    trained = Counter(tuple(p.shape) for p in made.parameters() if p.requires_grad)
    mine = adapters(shape, wanted.lora_rank, wanted.lora_target, wanted.additional_target, wanted.use_dora)
    assert _counted(mine) == trained


def test_what_is_not_known_is_not_guessed() -> None:
    assert modules(ModelShape(architecture="brand_new", hidden_size=8)) is None
    assert whole(ModelShape.of({"model_type": "llama", "hidden_size": 8})) is None
    assert adapters(ModelShape(), 8, ("all",)) is None


def test_the_embedding_is_told_apart() -> None:
    shape = shape_of_model(tiny_model())
    assert [block.shape for block in whole(shape) or () if block.embedding] == [(512, 64)]
    assert not any(block.embedding for block in adapters(shape, 8, ("embed_tokens",)) or ())
