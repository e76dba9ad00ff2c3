"""What a stage has in hand between two steps, in a checkpoint: tensors of any length, and plain values beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import orjson
import torch
from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

_TENSORS, _PLAIN = "answers.safetensors", "answers.json"


def save(folder: Path, tensors: Mapping[str, Sequence[Tensor]], plain: Mapping[str, Any]) -> None:
    """Write lists of tensors (n,), by name, and what JSON can hold; the tensors of a list have one type."""
    flat = {name: torch.cat(list(values)).cpu() for name, values in tensors.items() if len(values)}
    lengths = {name: [len(value) for value in values] for name, values in tensors.items()}
    if flat:
        save_file(flat, folder / _TENSORS)
    (folder / _PLAIN).write_bytes(orjson.dumps({"lengths": lengths, "plain": plain}))


def load(folder: Path) -> tuple[dict[str, list[Tensor]], dict[str, Any]] | None:
    """Return what `save` wrote, on the CPU and bit for bit; None where it wrote nothing."""
    if not (folder / _PLAIN).is_file():
        return None
    written = orjson.loads((folder / _PLAIN).read_bytes())
    flat = load_file(folder / _TENSORS) if any(written["lengths"].values()) else {}
    tensors = {
        name: list(torch.split(flat[name], sizes)) if sizes else [] for name, sizes in written["lengths"].items()
    }
    return tensors, written["plain"]
