"""The weights of a folder as a GGUF file's tensors: one at a time, so that memory holds twice the largest at most."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.errors import ModelError
from tuitune.export.gguf_family import family, in_pairs, rope_factors
from tuitune.export.gguf_vocab import NotOurs

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

_BLOCK = 32  # weights that share a scale in Q8_0 and Q4_0
_LARGEST_F16 = 65504.0
ROPE_FACTORS = "rope_freqs.weight"


@dataclass(frozen=True)
class Planned:
    """A tensor to be written. source: its name in the folder, None for rope factors; kind: GGUF's name of its type."""

    name: str
    source: str | None
    shape: tuple[int, ...]
    kind: str
    heads: int | None = None


class Weights:
    """The tensors of a folder's safetensors files."""

    def __init__(self, folder: Path) -> None:
        from safetensors import safe_open

        self._files: dict[str, Path] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        for path in sorted(folder.glob("model*.safetensors")):
            with safe_open(path, framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118 (not a dictionary)
                    self._files[name] = path
                    self.shapes[name] = tuple(opened.get_slice(name).get_shape())
        if not self._files:
            raise ModelError(f"there are no safetensors files in {folder}")

    def read(self, name: str) -> Array:
        """Return one tensor in fp32."""
        from safetensors import safe_open

        with safe_open(self._files[name], framework="pt") as opened:
            found: Array = opened.get_tensor(name).float().numpy()
            return found


def plan(weights: Weights, config: Mapping[str, Any], kind: str) -> list[Planned]:
    """Return the tensors of the file in its order; raises NotOurs for weights that the family does not have."""
    from gguf import MODEL_ARCH_NAMES, get_tensor_name_map

    known = family(config)
    arch = next(each for each, name in MODEL_ARCH_NAMES.items() if name == known.arch)
    names = get_tensor_name_map(arch, config["num_hidden_layers"])
    tied = bool(config.get("tie_word_embeddings"))
    found: list[Planned] = []
    factors = rope_factors(config)
    if factors is not None:
        found.append(Planned(ROPE_FACTORS, None, factors.shape, "F32"))
    for source in sorted(weights.shapes, key=_order):
        if tied and source == "lm_head.weight":
            continue
        name = names.get_name(source, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise NotOurs(f"the model has weights that the family {known.arch} does not have in GGUF: {source}")
        shape = weights.shapes[source]
        heads = _heads(source, config) if known.paired else None
        found.append(Planned(name, source, shape, type_of(name, shape, kind, tied=tied), heads))
    return found


def type_of(name: str, shape: tuple[int, ...], kind: str, *, tied: bool) -> str:
    """Return the type of one tensor in a file of `kind`, as llama.cpp chooses it.

    Vectors stay in F32. In a Q4_0 file the matrix that makes the logits is finer: llama.cpp takes Q6_K, which this
    writer does not have, so Q8_0. Rows that are no whole number of blocks stay in F16.
    """
    if len(shape) < 2 or name.endswith("_norm.weight"):
        return "F32"
    if kind not in ("Q8_0", "Q4_0"):
        return kind
    if shape[-1] % _BLOCK:
        return "F16"
    makes_logits = name == "output.weight" or (tied and name == "token_embd.weight")
    return "Q8_0" if makes_logits else kind


def content(planned: Planned, weights: Weights, config: Mapping[str, Any]) -> Array:
    """Return the bytes of one tensor as they stand in the file; raises ModelError where its type cannot hold it."""
    import numpy as np
    from gguf import GGMLQuantizationType, quants

    if planned.source is None:
        return np.ascontiguousarray(rope_factors(config))
    rows = weights.read(planned.source)
    if planned.heads is not None:
        rows = in_pairs(rows, planned.heads)
    largest = float(np.abs(rows).max(initial=0))
    if not np.isfinite(largest):
        raise ModelError(f"the tensor {planned.source} holds values that are not finite")
    if planned.kind == "F16" and largest > _LARGEST_F16:
        raise ModelError(
            f"the tensor {planned.source} holds values up to {largest:.3g}, which F16 cannot hold",
            "choose another number format: export_gguf_type: BF16",
        )
    made: Array = quants.quantize(np.ascontiguousarray(rows), GGMLQuantizationType[planned.kind])
    return made


def bytes_of(planned: Planned) -> int:
    """Return how many bytes a tensor takes in the file, without its padding."""
    from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

    block, size = GGML_QUANT_SIZES[GGMLQuantizationType[planned.kind]]
    return int(math.prod(planned.shape) // block * size)


def _heads(source: str, config: Mapping[str, Any]) -> int | None:
    heads = int(config["num_attention_heads"])
    if ".q_proj." in source:
        return heads
    return int(config.get("num_key_value_heads") or heads) if ".k_proj." in source else None


def _order(source: str) -> tuple[int, int, str]:
    """Sort by place in the model: the embeddings, the layers by number, the rest."""
    numbers = [int(part) for part in source.split(".") if part.isdigit()]
    if numbers:
        return 1, numbers[0], source
    return (0 if "embed" in source else 2), 0, source


def values(planned: list[Planned], weights: Weights, config: Mapping[str, Any]) -> Iterator[tuple[Planned, Array]]:
    """Go through all tensors, each in fp32 after rounding, in the folder's order of rows: what a reader should find."""
    from gguf import GGMLQuantizationType, quants

    for each in planned:
        if each.source is not None:
            plain = Planned(each.name, each.source, each.shape, each.kind)
            stored = content(plain, weights, config)
            yield each, quants.dequantize(stored, GGMLQuantizationType[each.kind])
