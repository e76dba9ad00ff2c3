from __future__ import annotations

import json
import os
import random
import struct
from pathlib import Path

import pytest

from tests.fit.planted import WEIGHTS, head, model
from tuitune.fit.safetensors import BadSafetensors, read_safetensors, read_weights, weight_files


def _file(folder: Path, content: bytes) -> Path:
    path = folder / "model.safetensors"
    path.write_bytes(content)
    return path


def _with_head(value: object, data: bytes = b"") -> bytes:
    text = json.dumps(value).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_reads_types_and_shapes_as_the_library_writes_them(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    tensors = {"w": torch.zeros(3, 4, dtype=torch.bfloat16), "s": torch.zeros(()), "e": torch.zeros(0, 2)}
    save_file(tensors, tmp_path / "model.safetensors")

    found = read_safetensors(tmp_path / "model.safetensors")

    assert {n: (t.dtype, t.shape) for n, t in found.items()} == {
        "w": ("bfloat16", (3, 4)), "s": ("float32", ()), "e": ("float32", (0, 2)),
    }  # fmt: skip
    weights = read_weights([tmp_path / "model.safetensors"])
    assert (weights.parameters, weights.dtype) == (13, "bfloat16")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x01\x00",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 100) + b"{}",
        struct.pack("<Q", 2) + b"{x",
        struct.pack("<Q", 2) + b"\xff\xff",
        _with_head([]),
        _with_head({"a": 3}),
        _with_head({"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}),
        _with_head({"a": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}}, bytes(8)),
        _with_head({"a": {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}}, bytes(8)),
        _with_head({"a": {"dtype": "F32", "shape": [True], "data_offsets": [0, 4]}}, bytes(8)),
        _with_head({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}, bytes(8)),
        _with_head({"a": {"dtype": "F32", "shape": [10**30], "data_offsets": [0, 4]}}, bytes(8)),
        _with_head({"a": {"shape": [1], "data_offsets": [0, 4]}}, bytes(8)),
        struct.pack("<Q", 200_000) + b"[" * 200_000,
    ],
)
def test_a_damaged_head_is_named_and_never_crashes(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(BadSafetensors):
        read_safetensors(_file(tmp_path, content))


def test_random_damage_raises_nothing_else(tmp_path: Path) -> None:
    chance = random.Random(7)
    whole = head({f"t{i}": ("F16", [i, 2], 4 * i) for i in range(1, 6)})
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole[: chance.randrange(len(whole) + 1)])
        for _ in range(chance.randrange(4)):
            if damaged:
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            read_safetensors(_file(tmp_path, bytes(damaged)))
        except BadSafetensors:
            refused += 1
    assert refused > 250


def test_a_pipe_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(BadSafetensors, match="regular"):
        read_safetensors(tmp_path / "model.safetensors")


def _index(folder: Path, names: list[str]) -> None:
    index = {"weight_map": {f"t{i}": name for i, name in enumerate(names)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def test_shards_count_only_when_all_are_there(tmp_path: Path) -> None:
    model(tmp_path, None)
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    _index(tmp_path, names)
    (tmp_path / names[0]).write_bytes(WEIGHTS)
    assert weight_files(tmp_path) is None

    (tmp_path / names[1]).write_bytes(WEIGHTS)

    files = weight_files(tmp_path)
    assert files is not None
    assert [file.name for file in files] == names
    assert read_weights(files).parameters == 22


def test_an_index_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.safetensors").write_bytes(WEIGHTS)
    folder = model(tmp_path / "m", None)
    _index(folder, ["../elsewhere.safetensors"])
    assert weight_files(folder) is None
