from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fit.planted import LLAMA, model
from tests.tiny import tiny_model
from tuitune.fit.shapes import ModelShape, activation_bytes_per_token, logit_bytes_per_token

_SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 160,
    "pad_token_id": 0,
}


@pytest.mark.parametrize(
    ("kind", "extra"),
    [
        ("llama", {}),
        ("llama", {"tie_word_embeddings": True, "head_dim": 24}),
        ("llama", {"attention_bias": True, "mlp_bias": True}),
        ("mistral", {}),
        ("phi3", {}),
        ("granite", {}),
        ("smollm3", {}),
        ("gemma", {"head_dim": 16}),
        ("gemma2", {"head_dim": 16}),
        ("qwen2", {}),
        ("qwen3", {"head_dim": 32}),
        ("olmo2", {}),
    ],
)
def test_the_formula_counts_as_transformers_does(kind: str, extra: dict[str, Any], tmp_path: Path) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(kind, **_SIZES, **extra)
    with torch.device("meta"):
        built = AutoModelForCausalLM.from_config(config)
    config.save_pretrained(tmp_path)
    assert ModelShape.read(tmp_path).parameters == sum(p.numel() for p in built.parameters())


def test_an_unknown_architecture_is_not_guessed() -> None:
    shape = ModelShape.of(LLAMA | {"model_type": "brand_new"})
    assert shape.hidden_size == 8
    assert shape.parameters is None
    assert activation_bytes_per_token(shape, recompute=False, bytes_per_element=4) is None


def test_weights_on_disk_are_exact_and_packed_ones_are_not_counted(tmp_path: Path) -> None:
    folder = model(tmp_path / "m", model_type="brand_new")
    assert ModelShape.read(folder).parameters == 11
    assert ModelShape.read(folder / "config.json").dtype == "float32"
    model(tmp_path / "q", model_type="brand_new", quantization_config={"load_in_4bit": True})
    assert ModelShape.read(tmp_path / "q").parameters is None


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"hidden_size": -3, "num_attention_heads": true}', '{"text_config": 3}']
)
def test_odd_configurations_give_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.json").write_text(text)
    assert ModelShape.read(tmp_path).hidden_size is None


def kept_bytes(model: Any, tokens: int) -> int:
    """Count what autograd keeps for one forward pass without the head: distinct storages that are no parameters."""
    import torch

    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    ids = torch.randint(0, 500, (1, tokens))
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        base = model.get_base_model() if hasattr(model, "get_base_model") else model
        hidden = base.model(input_ids=ids, use_cache=False).last_hidden_state
    assert hidden.requires_grad
    return sum(kept.values())


@pytest.mark.parametrize("dropout", [0.0, 0.1])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_the_activation_formula_against_what_autograd_keeps(dtype: str, dropout: float) -> None:
    import torch
    from peft import LoraConfig, get_peft_model

    base = tiny_model(hidden_size=192, intermediate_size=512, num_hidden_layers=4, num_attention_heads=3,
                      num_key_value_heads=1).to(getattr(torch, dtype))  # fmt: skip
    shape = ModelShape.of(base.config.to_dict())
    adapted = get_peft_model(base, LoraConfig(r=8, lora_dropout=dropout, target_modules="all-linear")).train()
    size = 4 if dtype == "float32" else 2

    told = activation_bytes_per_token(shape, recompute=False, bytes_per_element=size, rank=8, dropout=dropout > 0)

    assert told == pytest.approx(kept_bytes(adapted, 256) / 256, rel=0.12)


def test_the_activation_formula_for_all_weights() -> None:
    base = tiny_model(hidden_size=128, intermediate_size=256, num_hidden_layers=4).train()
    shape = ModelShape.of(base.config.to_dict())
    told = activation_bytes_per_token(shape, recompute=False, bytes_per_element=4, trainable="full")
    assert told == pytest.approx(kept_bytes(base, 256) / 256, rel=0.12)


def test_recomputation_keeps_one_layer_and_the_inputs_of_the_rest() -> None:
    shape = ModelShape.of(LLAMA | {"num_hidden_layers": 40})
    plain = activation_bytes_per_token(shape, recompute=False, bytes_per_element=2)
    less = activation_bytes_per_token(shape, recompute=True, bytes_per_element=2)
    assert plain is not None
    assert less is not None
    assert less < plain / 10


def test_logits_grow_with_the_vocabulary() -> None:
    assert logit_bytes_per_token(ModelShape(vocab_size=1000), bytes_per_element=4) == 12_000
    assert logit_bytes_per_token(ModelShape(vocab_size=1000), bytes_per_element=2) == 14_000
    assert logit_bytes_per_token(ModelShape(), bytes_per_element=2) is None


def test_json_on_disk_is_what_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA | {"torch_dtype": "bfloat16"}))
    assert ModelShape.read(tmp_path / "config.json").dtype == "bfloat16"
