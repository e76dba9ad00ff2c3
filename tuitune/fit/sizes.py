"""The shape of a model wherever it is: in a folder, in a GGUF file, or not yet converted."""

from __future__ import annotations

from tuitune.errors import RunError
from tuitune.fit import embedded
from tuitune.fit.folders import is_model
from tuitune.fit.gguf import BadGguf, GgufHeader, read_gguf
from tuitune.fit.resolve import ModelSource
from tuitune.fit.shapes import ModelShape

# The model that comes with TuiTune, known before it is fetched (tests compare it with the file).
_EMBEDDED: dict[str, object] = {
    "model_type": "llama",
    "hidden_size": 576,
    "intermediate_size": 1536,
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "vocab_size": 49152,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
    "dtype": "float32",
}


def shape_of(source: ModelSource) -> ModelShape | None:
    """Return the shape of a model; None for one that has to be fetched first. Reads heads of files only."""
    if source.kind == "embedded":
        return _embedded()
    if source.kind == "gguf" and source.path is not None:
        try:
            return _of_gguf(read_gguf(source.path))
        except BadGguf:
            return ModelShape()
    return ModelShape.read(source.path) if source.path is not None else None


def _embedded() -> ModelShape:
    try:
        folder = embedded.embedded_dir()
    except RunError:  # no place for a cache: that is told when the model is made ready
        return ModelShape.of(_EMBEDDED)
    return ModelShape.read(folder) if is_model(folder) else ModelShape.of(_EMBEDDED)


def _of_gguf(header: GgufHeader) -> ModelShape:
    """Translate the names of GGUF into those of a config.json."""
    kind = header.architecture or ""
    names = {
        "hidden_size": "embedding_length",
        "intermediate_size": "feed_forward_length",
        "num_hidden_layers": "block_count",
        "num_attention_heads": "attention.head_count",
        "num_key_value_heads": "attention.head_count_kv",
        "head_dim": "attention.key_length",
        "max_position_embeddings": "context_length",
    }
    values: dict[str, object] = {ours: header.metadata.get(f"{kind}.{theirs}") for ours, theirs in names.items()}
    embedding = header.shapes.get("token_embd.weight", ())
    values |= {
        "model_type": kind,
        "vocab_size": embedding[-1] if embedding else None,
        "tie_word_embeddings": "output.weight" not in header.shapes,
        "attention_bias": "blk.0.attn_output.bias" in header.shapes,
        "mlp_bias": "blk.0.ffn_up.bias" in header.shapes,
        "dtype": "float32",  # conversion makes plain floats of it
    }
    shape = ModelShape.of(values)
    return ModelShape(**{**shape.__dict__, "parameters": header.parameters})
