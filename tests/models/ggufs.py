"""A tiny llama as a GGUF file, written with the `gguf` package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.tiny import tiny_model, tiny_tokenizer


def write_gguf(path: Path, *, template: bool = True, drop: str = "", **config: Any) -> Any:
    """Write a tiny llama with its tokenizer to `path`; leave out the tensor `drop`; return the model."""
    import gguf

    model, tokenizer = tiny_model(**config), tiny_tokenizer()
    settings = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_block_count(settings.num_hidden_layers)
    writer.add_context_length(settings.max_position_embeddings)
    writer.add_embedding_length(settings.hidden_size)
    writer.add_feed_forward_length(settings.intermediate_size)
    writer.add_head_count(settings.num_attention_heads)
    writer.add_head_count_kv(settings.num_key_value_heads)
    writer.add_rope_freq_base(settings.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(settings.rms_norm_eps)
    writer.add_vocab_size(settings.vocab_size)
    writer.add_rope_dimension_count(settings.hidden_size // settings.num_attention_heads)
    _add_tokenizer(writer, tokenizer, settings.vocab_size)
    if template:
        writer.add_chat_template(tokenizer.chat_template)
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, settings.num_hidden_layers)
    for name, value in model.state_dict().items():
        if name == drop or (name == "lm_head.weight" and settings.tie_word_embeddings):
            continue
        array = value.float().numpy()
        if "q_proj" in name or "k_proj" in name:
            heads = settings.num_attention_heads if "q_proj" in name else settings.num_key_value_heads
            array = _interleave(array, heads)
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), np.ascontiguousarray(array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def _interleave(array: np.ndarray, heads: int) -> np.ndarray:
    # GGUF rotates neighbouring pairs where transformers rotates halves.
    return array.reshape(heads, 2, array.shape[0] // heads // 2, array.shape[1]).swapaxes(1, 2).reshape(array.shape)


def _add_tokenizer(writer: Any, tokenizer: Any, size: int) -> None:
    parts = json.loads(tokenizer.backend_tokenizer.to_str())
    tokens, types = [f"[unused{i}]" for i in range(size)], [1] * size
    for token, number in parts["model"]["vocab"].items():
        tokens[number] = token
    for added in parts["added_tokens"]:
        tokens[added["id"]], types[added["id"]] = added["content"], 3
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges([pair if isinstance(pair, str) else " ".join(pair) for pair in parts["model"]["merges"]])
    writer.add_bos_token_id(tokenizer.bos_token_id)
    writer.add_eos_token_id(tokenizer.eos_token_id)
    writer.add_pad_token_id(tokenizer.pad_token_id)
