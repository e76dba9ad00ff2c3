"""The families of models that the writer of GGUF files knows: their tensors' names and what the file says of them.

In GGUF the rows of `llama`'s query and key matrices stand as Meta had them, pairs of a rotation side by side;
transformers keeps the halves apart. The other families are the same in both.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tuitune.errors import ModelError
from tuitune.export.gguf_vocab import NotOurs

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Family:
    """arch: the name in GGUF; paired: the rows of queries and keys are put into pairs."""

    arch: str
    paired: bool = False


FAMILIES = {
    "llama": Family("llama", paired=True),
    "mistral": Family("llama", paired=True),
    "qwen2": Family("qwen2"),
    "qwen3": Family("qwen3"),
}


def family(config: Mapping[str, Any]) -> Family:
    """Return the family of a model with this config.json; raises NotOurs for what llama.cpp would compute otherwise."""
    kind = config.get("model_type")
    if kind not in FAMILIES:
        raise NotOurs(f"TuiTune's own writer knows {', '.join(FAMILIES)}, and this is {kind}")
    named = [str(name) for name in config.get("architectures") or ()]
    if named and not named[0].endswith("ForCausalLM"):
        raise NotOurs(f"it is no model that writes text, but {named[0]}")
    if config.get("hidden_act", "silu") not in ("silu", "swish"):
        raise NotOurs(f"llama.cpp computes this family with silu, and it has {config['hidden_act']}")
    if kind == "qwen3" and config.get("attention_bias"):
        raise NotOurs("its attention has biases, which llama.cpp does not read for this family")
    rope = rope_of(config)
    if rope.get("rope_type", "default") not in ("default", "linear", "yarn", "llama3", "dynamic"):
        raise NotOurs(f"its rotary positions are of the kind {rope['rope_type']}")
    if rope.get("partial_rotary_factor", 1) != 1:
        raise NotOurs("only a part of each head is rotated")
    if not FAMILIES[kind].paired and (_unusual(rope) or rope.get("rope_type") == "llama3"):
        raise ModelError(
            f"llama.cpp cannot compute the rotary positions of this model ({rope['rope_type']}) in its family {kind}",
            "a GGUF file of it would answer otherwise; write safetensors",
        )
    return FAMILIES[kind]


def rope_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of the rotary positions, whether config.json has them in the old form or the new."""
    old = dict(config.get("rope_scaling") or {})
    if "type" in old:
        old.setdefault("rope_type", old.pop("type"))
    found = {**old, **(config.get("rope_parameters") or {})}
    found.setdefault("rope_theta", config.get("rope_theta") or 10000.0)
    return found


def lost(config: Mapping[str, Any]) -> Iterator[str]:
    """Return what a GGUF file of the family cannot say, as sentences."""
    window = config.get("sliding_window")
    if window and (config.get("model_type") == "mistral" or config.get("use_sliding_window")):
        yield f"llama.cpp attends to everything before a token, the model to the last {window} only"
    if rope_of(config).get("rope_type") == "dynamic":
        yield (
            f"llama.cpp does not stretch the positions: beyond {config.get('max_position_embeddings')} tokens answers "
            "get worse"
        )


def head_dim(config: Mapping[str, Any]) -> int:
    """Return the size of one attention head."""
    return int(config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"])


def describe(writer: Any, config: Mapping[str, Any], rows: int) -> None:
    """Put the shape of the model and its constants into the file; writer: a gguf.GGUFWriter."""
    heads = config["num_attention_heads"]
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_key_length(head_dim(config))
    writer.add_value_length(head_dim(config))
    writer.add_vocab_size(rows)
    if family(config).paired:
        writer.add_rope_dimension_count(head_dim(config))
    _describe_rope(writer, config)


def _describe_rope(writer: Any, config: Mapping[str, Any]) -> None:
    from gguf import RopeScalingType

    rope = rope_of(config)
    kind = rope.get("rope_type")
    writer.add_rope_freq_base(rope["rope_theta"])
    told = kind == "linear" or (kind == "yarn" and not _unusual(rope))
    if told:
        writer.add_rope_scaling_type(RopeScalingType(kind))
        writer.add_rope_scaling_factor(rope["factor"])
    if kind == "yarn":
        _, scale = _slowed(config)
        if told:
            before = rope.get("original_max_position_embeddings") or config["max_position_embeddings"]
            writer.add_rope_scaling_orig_ctx_len(before)
            scale /= 0.1 * math.log(rope["factor"]) + 1  # llama.cpp multiplies by this (arXiv 2309.00071, eq. 22)
        if abs(scale - 1) > 1e-6:
            writer.add_rope_scaling_attn_factors(scale)  # the key that has YaRN in its name is overwritten there


def _unusual(rope: Mapping[str, Any]) -> bool:
    """Tell whether YaRN has other limits than llama.cpp, which reads them for a few families only."""
    usual = {"beta_fast": 32, "beta_slow": 1, "truncate": True}
    return rope.get("rope_type") == "yarn" and any(rope.get(key) not in (None, told) for key, told in usual.items())


def _slowed(config: Mapping[str, Any]) -> tuple[Any, float]:
    """Return the frequencies of the rotary positions, (head_dim / 2,), and by what queries and keys are multiplied.

    As transformers computes them.
    """
    import torch
    from transformers import AutoConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rule = ROPE_INIT_FUNCTIONS[rope_of(config)["rope_type"]]
    frequencies, scale = rule(AutoConfig.for_model(**config), torch.device("cpu"))
    return frequencies.double().numpy(), float(scale)


def rope_factors(config: Mapping[str, Any]) -> Array | None:
    """Return by how much each frequency is slowed down, (head_dim / 2,) in fp32, where GGUF keeps that as a tensor.

    So it does for Llama 3.1's rule, and so an unusual YaRN can be said exactly. None for the other rules.
    """
    rope = rope_of(config)
    if rope.get("rope_type") != "llama3" and not _unusual(rope):
        return None
    import numpy as np

    slowed, _ = _slowed(config)
    size = head_dim(config)
    plain = 1.0 / rope["rope_theta"] ** (np.arange(0, size, 2, dtype=np.float64) / size)
    factors: Array = (plain / slowed).astype(np.float32)
    return factors


def in_pairs(rows: Array, heads: int) -> Array:
    """Return the rows of a query or key matrix, or its bias, in GGUF's order: (heads * head_dim, ...)."""
    halves = rows.reshape(heads, 2, rows.shape[0] // heads // 2, *rows.shape[1:])
    return halves.swapaxes(1, 2).reshape(rows.shape)
