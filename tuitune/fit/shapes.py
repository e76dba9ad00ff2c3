"""Sizes of a model from its config.json: parameters, and the bytes that one token costs while training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tuitune.fit.files import read_object
from tuitune.fit.safetensors import BadSafetensors, read_weights, weight_files

Trainable = Literal["lora", "full", "frozen"]


@dataclass(frozen=True)
class Likeness:
    """How an architecture differs from llama where parameters are counted."""

    qkv_bias: bool = False
    output_bias: bool = False
    mlp_bias: bool = False
    # Norms of a layer with one weight per hidden unit, and norms over one head or over all of a projection.
    norms: int = 2
    head_norms: bool = False
    wide_norms: bool = False


# Only architectures whose count has been compared with transformers' own modules (tests/fit/test_shapes.py).
_LLAMA_LIKE = {
    "llama": Likeness(),
    "mistral": Likeness(),
    "phi3": Likeness(),
    "granite": Likeness(),
    "smollm3": Likeness(),
    "gemma": Likeness(),
    "gemma2": Likeness(norms=4),
    "qwen2": Likeness(qkv_bias=True),
    "qwen3": Likeness(head_norms=True),
    "olmo2": Likeness(wide_norms=True),
}


@dataclass(frozen=True)
class ModelShape:
    """What a configuration says; None where it does not say, or where the architecture is not known here."""

    architecture: str | None = None
    hidden_size: int | None = None
    intermediate_size: int | None = None
    layers: int | None = None
    heads: int | None = None
    kv_heads: int | None = None
    head_dim: int | None = None
    vocab_size: int | None = None
    max_positions: int | None = None
    tied: bool | None = None
    dtype: str | None = None
    parameters: int | None = None
    attention_bias: bool = False
    mlp_bias: bool = False
    # Weights of 4 bits and the like: neither their count nor their bytes follow from the sizes above.
    packed: bool = False
    # The blocks that LLaMA Pro inserted, counted from 0, where the configuration names them.
    inserted: tuple[int, ...] = ()

    @classmethod
    def read(cls, path: str | Path) -> ModelShape:
        """Read a model's folder, or its config.json: the count is exact where weights are, by formula elsewhere."""
        path = Path(path)
        folder = path.parent if path.name == "config.json" else path
        config = read_object(folder / "config.json")
        shape = cls.of(config)
        files = weight_files(folder)
        # Packed weights (4-bit and the like) hide several parameters in one element.
        if files is None or "quantization_config" in config:
            return shape
        try:
            weights = read_weights(files)
        except BadSafetensors:
            return shape
        return cls(**{**shape.__dict__, "parameters": weights.parameters, "dtype": weights.dtype})

    @classmethod
    def of(cls, config: dict[str, object]) -> ModelShape:
        """Read the values of a parsed config.json; the configuration of the text part where there are several."""
        text = config.get("text_config")
        values: dict[str, object] = {**config, **text} if isinstance(text, dict) else config
        architecture = values.get("model_type")
        hidden, heads = _natural(values, "hidden_size"), _natural(values, "num_attention_heads")
        known = isinstance(architecture, str) and architecture in _LLAMA_LIKE
        tied = values.get("tie_word_embeddings", _TIED_BY_DEFAULT.get(str(architecture), False) if known else None)
        dtype = values.get("dtype", values.get("torch_dtype"))
        shape = cls(
            architecture=architecture if isinstance(architecture, str) else None,
            hidden_size=hidden,
            intermediate_size=_natural(values, "intermediate_size"),
            layers=_natural(values, "num_hidden_layers"),
            heads=heads,
            kv_heads=_natural(values, "num_key_value_heads") or heads,
            head_dim=_natural(values, "head_dim") or (hidden // heads if hidden and heads else None),
            vocab_size=_natural(values, "vocab_size"),
            max_positions=_natural(values, "max_position_embeddings"),
            tied=tied if isinstance(tied, bool) else None,
            dtype=dtype.removeprefix("torch.") if isinstance(dtype, str) else None,
            attention_bias=values.get("attention_bias") is True,
            mlp_bias=values.get("mlp_bias") is True,
            packed="quantization_config" in config,
            inserted=_numbers(values.get("inserted_blocks")),
        )
        return cls(**{**shape.__dict__, "parameters": _count(shape) if known else None})


# transformers leaves a value out of config.json when it is the class's default.
_TIED_BY_DEFAULT = {"gemma": True, "gemma2": True, "smollm3": True}


def _count(shape: ModelShape) -> int | None:
    """Count the weights: embeddings, layers, last norm, head."""
    hidden, middle, layers, vocab = shape.hidden_size, shape.intermediate_size, shape.layers, shape.vocab_size
    if not (hidden and middle and layers and vocab and shape.heads and shape.kv_heads and shape.head_dim):
        return None
    like = _LLAMA_LIKE[str(shape.architecture)]
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    layer = hidden * (queries + 2 * keys) + queries * hidden + 3 * hidden * middle + like.norms * hidden
    if like.qkv_bias or shape.attention_bias:
        layer += queries + 2 * keys
    if like.output_bias or shape.attention_bias:
        layer += hidden
    if like.mlp_bias or shape.mlp_bias:
        layer += 2 * middle + hidden
    layer += 2 * shape.head_dim if like.head_norms else 0
    layer += queries + keys if like.wide_norms else 0
    return layers * layer + hidden + vocab * hidden * (1 if shape.tied else 2)


def activation_bytes_per_token(
    shape: ModelShape,
    *,
    recompute: bool,
    bytes_per_element: int,
    trainable: Trainable = "lora",
    rank: int = 8,
    dropout: bool = False,
    adapter_bytes: int = 4,
) -> int | None:
    """Return the bytes autograd keeps for one token of a llama-like model, None for an architecture not known here.

    Kept per layer without recomputation, in elements (h hidden, q = heads x head size, k = kv heads x head size, m the
    MLP's width):
    - both norms: their input, 2h;
    - inputs of the linear layers: h for q/k/v together, q for the output, h for gate/up together, m for down;
    - attention: query q, key k, value k, result q, one number per head;
    - MLP: the gate before and after its activation, and the up-projection: 3m;
    - LoRA: one row of `rank` for each of the 7 layers. Full training: the normalised values before their scale, 2h.
    Norms compute in fp32 and so do peft's adapters, unless they have fewer `adapter_bytes`: norm inputs take 4 bytes in
    half precision too, and the inputs of adapted layers are kept as one fp32 copy for each of the 7 adapters (3h more),
    in place of the shared ones. Dropout before the adapters makes such copies too, and keeps its mask (4 bytes on a
    CPU, 1 on a GPU: 4 are counted).
    Layers that are frozen, with something trained below or between them, do not keep the inputs of linear layers.
    With recomputation: h per layer, and one layer's whole set while its backward pass runs. What the LM head costs is
    told by `logit_bytes_per_token`.
    """
    if shape.architecture not in _LLAMA_LIKE:
        return None
    hidden, middle, layers = shape.hidden_size, shape.intermediate_size, shape.layers
    if not (hidden and middle and layers and shape.heads and shape.kv_heads and shape.head_dim):
        return None
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    inputs, attention, gates = 2 * hidden + queries + middle, 2 * queries + 2 * keys, 3 * middle
    scaled, adapters = (2 * hidden, 0) if trainable == "full" else (0, 7 * rank)
    narrow, wide = attention + gates + scaled, 2 * hidden + shape.heads
    if trainable == "lora" and (bytes_per_element < adapter_bytes or dropout):
        adapters += (inputs + 3 * hidden) * (2 if dropout else 1)
    elif trainable != "frozen":
        narrow += inputs
    layer = narrow * bytes_per_element + wide * 4 + adapters * adapter_bytes
    last_norm = hidden * max(bytes_per_element, 4)
    if recompute:
        return layers * hidden * bytes_per_element + layer + last_norm
    return layers * layer + last_norm


def logit_bytes_per_token(shape: ModelShape, *, bytes_per_element: int) -> int | None:
    """Return the bytes that one labelled token's logits cost at the peak, None when the vocabulary is not known.

    The logits, an fp32 copy of them in half precision, the log-softmax in fp32, and the gradient in fp32.
    """
    if not shape.vocab_size:
        return None
    copies = 8 if bytes_per_element >= 4 else 12
    return shape.vocab_size * (bytes_per_element + copies)


def likeness(shape: ModelShape) -> Likeness | None:
    """Return how the architecture of `shape` differs from llama, None for one that is not known here."""
    return _LLAMA_LIKE.get(shape.architecture or "")


def _natural(values: dict[str, object], key: str) -> int | None:
    value = values.get(key)
    return value if type(value) is int and value > 0 else None


def _numbers(value: object) -> tuple[int, ...]:
    return tuple(each for each in value if type(each) is int) if isinstance(value, list) else ()
