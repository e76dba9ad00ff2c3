"""Tiny models of every family that the GGUF writer knows, as folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import orjson
import torch
from tokenizers import Tokenizer, decoders, models, normalizers, trainers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from tests.tiny import CORPUS, tiny_tokenizer
from tuitune.export.gguf import write_file
from tuitune.models.load import load_tokenizer

_SHAPE: dict[str, Any] = {
    "vocab_size": 512, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 512, "bos_token_id": 0, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
_ROPE = {"rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 64}
LLAMA3 = {**_ROPE, "rope_type": "llama3", "low_freq_factor": 1.0, "high_freq_factor": 4.0}
YARN = {**_ROPE, "rope_type": "yarn", "attention_factor": 1.3}
LIMITED = {**YARN, "beta_fast": 20.0, "beta_slow": 2.0, "truncate": False}
LINEAR = {"rope_theta": 10000.0, "factor": 4.0, "rope_type": "linear"}

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("llama", {}),
    "llama, tied": ("llama", {"tie_word_embeddings": True}),
    "llama, biases": ("llama", {"attention_bias": True, "mlp_bias": True}),
    "llama 3": ("llama", {"rope_parameters": LLAMA3}),
    "yarn": ("llama", {"rope_parameters": YARN}),
    "yarn, limited": ("llama", {"rope_parameters": LIMITED}),
    "yarn, qwen": ("qwen2", {"rope_parameters": {**_ROPE, "rope_type": "yarn"}}),
    "linear": ("llama", {"rope_parameters": LINEAR}),
    "mistral": ("mistral", {"head_dim": 32, "sliding_window": None}),
    "qwen2": ("qwen2", {}),
    "qwen3": ("qwen3", {"head_dim": 32}),
}


def model_of(kind: str, **more: Any) -> Any:
    """Return a random fp32 model with weights so large that attention is not even, and biases that are not 0."""
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        model: Any = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **(_SHAPE | more))).float().eval()
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.normal_(0, 0.1)
            elif parameter.ndim == 2:
                parameter.mul_(4)
    return model


def folder_of(folder: Path, kind: str, **more: Any) -> Any:
    """Write such a model and a tokenizer to a folder; return the model."""
    model = model_of(kind, **more)
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return model


def sentencepiece(model: Any = None) -> PreTrainedTokenizerFast:
    """Train a tokenizer of characters with bytes as a last resort, as Llama 2 and the first Mistral have one."""
    made = Tokenizer(model or models.BPE(unk_token="<unk>", byte_fallback=True))
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    if model is None:
        special = ["<unk>", "<s>", "</s>", *(f"<0x{number:02X}>" for number in range(256))]
        trainer = trainers.BpeTrainer(vocab_size=600, special_tokens=special, show_progress=False, max_token_length=12)
        made.train_from_iterator(CORPUS, trainer)
        facts = json.loads(made.to_str())
        facts["added_tokens"] = facts["added_tokens"][:3]  # bytes are tokens like any other
        made = Tokenizer.from_str(json.dumps(facts))
    return PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="</s>", unk_token="<unk>")


def written(folder: Path, kind: str, note: Any = lambda text: None) -> Path:
    """Write the GGUF file of a folder."""
    file = folder / f"model-{kind}.gguf"
    config = orjson.loads((folder / "config.json").read_bytes())
    write_file(folder, file, config, load_tokenizer(folder), kind, title="a title", note=note)
    return file
