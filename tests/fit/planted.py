"""Model folders made of heads only, and hub caches made of such folders."""

from __future__ import annotations

import json
import struct
from pathlib import Path

LLAMA = {
    "model_type": "llama",
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 10,
    "tie_word_embeddings": True,
}


def head(tensors: dict[str, tuple[str, list[int], int]]) -> bytes:
    """Return a whole safetensors file of zeros: name -> (type, shape, bytes)."""
    entries, offset = {}, 0
    for name, (dtype, shape, size) in tensors.items():
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps({"__metadata__": {"format": "pt"}, **entries}).encode()
    return struct.pack("<Q", len(text)) + text + bytes(offset)


WEIGHTS = head({"a": ("F32", [2, 3], 24), "b": ("BF16", [5], 10)})


def model(folder: Path, weights: bytes | None = WEIGHTS, **config: object) -> Path:
    """Plant a model folder; without weights when they are None."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(LLAMA | config))
    if weights is not None:
        (folder / "model.safetensors").write_bytes(weights)
    return folder


def cached(cache: Path, name: str, commit: str = "c" * 40, ref: str = "main", weights: bytes | None = WEIGHTS) -> Path:
    """Plant a model in a hub cache, files linked from blobs as the library does it."""
    repo = cache / ("models--" + name.replace("/", "--"))
    (repo / "refs" / ref).parent.mkdir(parents=True, exist_ok=True)
    (repo / "refs" / ref).write_text(commit)
    blobs = model(repo / "blobs" / commit, weights)
    folder = repo / "snapshots" / commit
    folder.mkdir(parents=True)
    for file in blobs.iterdir():
        (folder / file.name).symlink_to(file)
    return folder
