"""A GGUF file read back: its weights by transformers' reader, its words by a tokenizer rebuilt from what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from tuitune.errors import ModelError
from tuitune.export.gguf import Note, Progress, Unreadable
from tuitune.export.gguf_family import family, head_dim, rope_factors, rope_of
from tuitune.export.gguf_speech import SPOKEN, differing, rebuilt
from tuitune.export.gguf_tensors import ROPE_FACTORS, Planned, Weights, plan, values
from tuitune.export.gguf_vocab import NotOurs, Vocabulary
from tuitune.models.gguf import read_model
from tuitune.models.load import load_tokenizer

if TYPE_CHECKING:
    from gguf import GGUFReader

_FAULT = "nothing was written; this is a fault of TuiTune or of the library gguf"
_FACTS = {
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "block_count": "num_hidden_layers",
    "context_length": "max_position_embeddings",
    "attention.head_count": "num_attention_heads",
    "attention.layer_norm_rms_epsilon": "rms_norm_eps",
}


def read_checked(file: Path, merged: Path, progress: Progress, note: Note) -> Any:
    """See `tuitune.export.gguf.read`."""
    from gguf import GGUFReader

    config = orjson.loads((merged / "config.json").read_bytes())
    try:
        known = family(config)
    except NotOurs:
        return _model(file, None, progress)  # the converter's: which type each tensor got is its own affair
    reader = GGUFReader(file)
    _same_facts(reader, known.arch, config)
    model = _model(file, _architecture(merged), progress)
    _same_weights(model, reader, merged, config, progress)
    _same_words(reader, merged, note)
    return model


def _model(file: Path, config: Any, progress: Progress) -> Any:
    try:
        model: Any = read_model(file, config, progress=progress)
    except (ImportError, ValueError, KeyError, RuntimeError, NotImplementedError) as error:
        raise Unreadable(f"{file.name} could not be read back to check it: {type(error).__name__}: {error}") from error
    return model.eval()


def _architecture(merged: Path) -> Any:
    """Return the model's configuration, in the class that transformers' reader knows tensors of."""
    from transformers import AutoConfig, LlamaConfig

    found = AutoConfig.from_pretrained(str(merged), local_files_only=True)
    if found.model_type != "mistral":
        return found
    told = {k: v for k, v in found.to_dict().items() if k not in ("model_type", "architectures", "sliding_window")}
    return LlamaConfig(**told)  # the same computation but for the window, which GGUF does not have


def _same_facts(reader: GGUFReader, arch: str, config: Mapping[str, Any]) -> None:
    rope = rope_of(config)
    heads = config.get("num_key_value_heads") or config["num_attention_heads"]
    asked = {key: config[name] for key, name in _FACTS.items()}
    asked |= {"attention.head_count_kv": heads, "attention.key_length": head_dim(config)}
    asked |= {"rope.freq_base": rope["rope_theta"]}
    if rope.get("rope_type") in ("linear", "yarn") and rope_factors(config) is None:
        asked |= {"rope.scaling.type": rope["rope_type"], "rope.scaling.factor": rope["factor"]}
    for key, wanted in asked.items():
        field = reader.get_field(f"{arch}.{key}")
        told = None if field is None else field.contents()
        near = told == wanted or (isinstance(told, float) and abs(told - wanted) <= 1e-6 * abs(wanted))
        if not near:
            raise ModelError(f"the GGUF file says {key} {told}, and it is {wanted}", _FAULT)


def _same_weights(model: Any, reader: GGUFReader, merged: Path, config: Mapping[str, Any], progress: Progress) -> None:
    import numpy as np
    import torch

    stored = {tensor.name: tensor for tensor in reader.tensors}
    weights = Weights(merged)
    planned = [_typed(each, stored) for each in plan(weights, config, "F16")]
    if len(planned) != len(stored):
        raise ModelError(f"the GGUF file has {len(stored)} tensors, and {len(planned)} are to be in it", _FAULT)
    found = model.state_dict()
    for number, (each, rounded) in enumerate(values(planned, weights, config), 1):
        progress("compare", number, len(planned))
        if not torch.equal(found[each.source], torch.from_numpy(np.ascontiguousarray(rounded))):
            raise ModelError(f"the tensor {each.name} in the GGUF file is not the model's {each.source}", _FAULT)
    factors = rope_factors(config)
    if factors is not None and not np.array_equal(stored[ROPE_FACTORS].data, factors):
        raise ModelError("the factors of the rotary positions in the GGUF file are not the model's", _FAULT)


def _typed(planned: Planned, stored: Mapping[str, Any]) -> Planned:
    """Return the tensor with the type that the file has."""
    if planned.name not in stored:
        raise ModelError(f"the tensor {planned.name} is not in the GGUF file", _FAULT)
    return replace(planned, kind=stored[planned.name].tensor_type.name)


def _same_words(reader: GGUFReader, merged: Path, note: Note) -> None:
    tokenizer = load_tokenizer(merged, note=note)
    wrong = differing(rebuilt(words_of(reader)), tokenizer, SPOKEN)
    if wrong:
        raise ModelError(f"the GGUF file's tokenizer finds other ids than the model's, in {wrong[0][:60]!r}", _FAULT)


def words_of(reader: GGUFReader) -> Vocabulary:
    """Return the vocabulary that a GGUF file describes, as far as llama.cpp needs it to cut text."""

    def told(name: str, missing: Any) -> Any:
        field = reader.get_field(f"tokenizer.ggml.{name}")
        return missing if field is None else field.contents()

    return Vocabulary(
        model=told("model", ""),
        pre=told("pre", "default"),
        tokens=tuple(told("tokens", ())),
        kinds=tuple(told("token_type", ())),
        merges=tuple(told("merges", ())),
        scores=tuple(told("scores", ())),
        add_space=told("add_space_prefix", None),
    )
