"""`lora_target: all` on tiny random models of every family: the right layers, trained, saved, loaded to the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForCausalLM

from tests.engine.given import data_folder
from tests.methods.cycle import learns_and_reloads, resumes_exactly
from tests.tiny import tiny_tokenizer

TINY: dict[str, Any] = {
    "vocab_size": 512,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
ATTENTION = {f"self_attn.{name}_proj" for name in "qkvo"}
LLAMA = ATTENTION | {f"mlp.{name}_proj" for name in ("gate", "up", "down")}
FUSED_MLP = {"mlp.gate_up_proj", "mlp.down_proj"}
PHI = {"self_attn.qkv_proj", "self_attn.o_proj"} | FUSED_MLP
MIXTRAL = ATTENTION | {"mlp.gate", "mlp.experts"}

# family: transformers' name, what its configuration has of its own, the layers that get an adapter
FAMILIES: dict[str, tuple[str, dict[str, Any], set[str]]] = {
    "LLaMA": ("llama", {"tie_word_embeddings": False}, LLAMA),
    "Mistral": ("mistral", {"sliding_window": 64}, LLAMA),
    "Mixtral": ("mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2}, MIXTRAL),
    "Qwen2": ("qwen2", {"tie_word_embeddings": True}, LLAMA),
    "Qwen3": ("qwen3", {"tie_word_embeddings": True}, LLAMA),
    "Yi": ("llama", {"rope_theta": 5e6, "num_key_value_heads": 1, "tie_word_embeddings": False}, LLAMA),
    "Gemma 2": ("gemma2", {"sliding_window": 64, "query_pre_attn_scalar": 8}, LLAMA),
    "Gemma 3": ("gemma3_text", {"sliding_window": 64, "query_pre_attn_scalar": 8}, LLAMA),
    "ChatGLM": ("glm", {}, ATTENTION | FUSED_MLP),
    "GLM-4": ("glm4", {}, ATTENTION | FUSED_MLP),
    "Phi 3": ("phi3", {"num_key_value_heads": 4}, PHI),
    "Phi 4": ("phi3", {"tie_word_embeddings": False, "partial_rotary_factor": 1.0}, PHI),
    "Falcon": (
        "falcon",
        {"multi_query": True, "parallel_attn": True, "alibi": False, "head_dim": None},
        {
            "self_attention.query_key_value",
            "self_attention.dense",
            "mlp.dense_h_to_4h",
            "mlp.dense_4h_to_h",
        },
    ),
    "GPT-2": (
        "gpt2",
        {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256, "resid_pdrop": 0.0, "embd_pdrop": 0.0},
        {"attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"},
    ),
}

# Baichuan's code comes with its weights and not with transformers. Ours has its shape: queries, keys and values of a
# llama in one matrix called W_pack, and a configuration of its own.
BAICHUAN = """
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaAttention


class BaichuanConfig(LlamaConfig):
    model_type = "baichuan"


class Packed(LlamaAttention):
    def __init__(self, config, layer_idx):
        super().__init__(config, layer_idx)
        del self.q_proj, self.k_proj, self.v_proj
        self.W_pack = nn.Linear(config.hidden_size, 3 * config.hidden_size, bias=False)

    def forward(self, hidden_states, **more):
        parts = self.W_pack(hidden_states).chunk(3, dim=-1)
        for name, part in zip(("q_proj", "k_proj", "v_proj"), parts):
            self.__dict__[name] = lambda _, part=part: part
        return super().forward(hidden_states, **more)


class BaichuanForCausalLM(LlamaForCausalLM):
    config_class = BaichuanConfig

    def __init__(self, config):
        super().__init__(config)
        for index, layer in enumerate(self.model.layers):
            layer.self_attn = Packed(config, index)
        self.post_init()
"""


def _made(family: str) -> Any:
    kind, own, _ = FAMILIES[family]
    values = {key: value for key, value in {**TINY, **own}.items() if value is not None}
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **values), dtype=torch.float32)


def _save(root: Path, model: Any) -> None:
    model.save_pretrained(root / "tiny")
    tiny_tokenizer().save_pretrained(root / "tiny")
    data_folder(root)


def _adapted(folder: Path) -> set[str]:
    """Return the layers of block 1 that an adapter's file has matrices for."""
    names = set()
    for name in load_file(folder / "adapter_model.safetensors"):
        layer = name.partition(".lora_")[0].replace(".base_layer", "")
        assert ".0." in layer or ".1." in layer, f"{layer} lies outside of the blocks"
        names.add(layer.partition(".1.")[2])
    return names - {""}


def _trains(root: Path, monkeypatch: pytest.MonkeyPatch, expected: set[str], **more: Any) -> None:
    made = learns_and_reloads(root, monkeypatch, max_steps=6, warmup_steps=0, save_strategy="no", **more)
    assert _adapted(made.final) == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_learns_and_reloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str) -> None:
    _save(tmp_path, _made(family))
    _trains(tmp_path, monkeypatch, FAMILIES[family][2])


@pytest.mark.parametrize("family", ["Mixtral", "GPT-2"])
def test_a_family_resumes(tmp_path: Path, family: str) -> None:
    _save(tmp_path, _made(family))
    resumes_exactly(tmp_path, stops=(4,))


@pytest.mark.parametrize(
    "more", [{"gradient_checkpointing": True}, {"loraplus_lr_ratio": 4.0}, {"quantization_bit": 4}], ids=str
)
def test_experts_learn_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]) -> None:
    _save(tmp_path, _made("Mixtral"))
    _trains(tmp_path, monkeypatch, MIXTRAL, **more)


def test_baichuan_learns_and_reloads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.syspath_prepend(str(tmp_path / "modules"))
    torch.manual_seed(0)
    plain = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **{**TINY, "num_key_value_heads": 4}))
    weights = plain.state_dict()
    for layer in range(2):
        parts = [weights.pop(f"model.layers.{layer}.self_attn.{name}_proj.weight") for name in "qkv"]
        weights[f"model.layers.{layer}.self_attn.W_pack.weight"] = torch.cat(parts)
    plain.save_pretrained(tmp_path / "tiny", state_dict=weights)
    tiny_tokenizer().save_pretrained(tmp_path / "tiny")
    data_folder(tmp_path)
    (tmp_path / "tiny" / "modeling_baichuan.py").write_text(BAICHUAN)
    config = json.loads((tmp_path / "tiny" / "config.json").read_text())
    classes = {"AutoConfig": "BaichuanConfig", "AutoModelForCausalLM": "BaichuanForCausalLM"}
    config |= {"model_type": "baichuan", "auto_map": {k: f"modeling_baichuan.{v}" for k, v in classes.items()}}
    (tmp_path / "tiny" / "config.json").write_text(json.dumps(config))
    expected = {"self_attn.W_pack", "self_attn.o_proj"} | (LLAMA - ATTENTION)
    _trains(tmp_path, monkeypatch, expected, trust_remote_code=True)
