from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

from tuitune.fit.gguf import BadGguf, read_gguf


@pytest.fixture
def file(tmp_path: Path) -> Path:
    import gguf

    writer = gguf.GGUFWriter(tmp_path / "x.gguf", "llama")
    writer.add_name("name")
    writer.add_bool("flag", True)
    writer.add_float32("number", 0.5)
    writer.add_token_list(["a", "bc", "\u00e9"])
    writer.add_array("numbers", [1, 2, 3])
    writer.add_tensor("w", np.zeros((4, 32), dtype=np.float16))
    writer.add_tensor("norm", np.zeros(7, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tmp_path / "x.gguf"


def test_reads_what_the_library_writes(file: Path) -> None:
    header = read_gguf(file)
    assert (header.architecture, header.parameters, header.dtype) == ("llama", 135, "F16")
    assert header.metadata["flag"] is True
    assert header.metadata["number"] == 0.5
    assert header.metadata["tokenizer.ggml.tokens"] == 3
    assert header.arrays == {}


def test_reads_the_arrays_that_are_asked_for(file: Path) -> None:
    header = read_gguf(file, ("tokenizer.ggml.tokens", "numbers", "none"))
    assert header.arrays == {"tokenizer.ggml.tokens": ["a", "bc", "\u00e9"], "numbers": [1, 2, 3]}
    assert (header.metadata["tokenizer.ggml.tokens"], header.parameters) == (3, 135)


def test_damage_is_named_and_never_crashes(file: Path, tmp_path: Path) -> None:
    whole, chance, refused = file.read_bytes(), random.Random(3), 0
    other = tmp_path / "y.gguf"
    for _ in range(400):
        damaged = bytearray(whole[: chance.randrange(len(whole))])
        for _ in range(chance.randrange(5)):
            if damaged:
                damaged[chance.randrange(min(len(damaged), 400))] = chance.randrange(256)
        other.write_bytes(damaged)
        try:
            read_gguf(other, ("tokenizer.ggml.tokens", "numbers"))
        except BadGguf:
            refused += 1
    assert refused > 200


def test_what_is_no_gguf_file(tmp_path: Path) -> None:
    (tmp_path / "x.gguf").write_bytes(b"GGUF" + (99).to_bytes(4, "little") + bytes(16))
    with pytest.raises(BadGguf, match="version 99"):
        read_gguf(tmp_path / "x.gguf")
    with pytest.raises(BadGguf, match="regular"):
        read_gguf(tmp_path)
