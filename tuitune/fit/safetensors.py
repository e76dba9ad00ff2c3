"""The head of a safetensors file, read by hand: names, types and shapes of the tensors, without the weights.

The format: 8 bytes, the length of the head, little-endian; a JSON object {name: {dtype, shape, data_offsets}}; then
the data.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from tuitune.fit.files import read_object, regular_size

# The format's own limit for the head.
_LONGEST_HEAD = 100_000_000
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"

# Bits per element and the name torch has for the type.
_DTYPES = {
    "F64": (64, "float64"), "F32": (32, "float32"), "F16": (16, "float16"), "BF16": (16, "bfloat16"),
    "F8_E4M3": (8, "float8_e4m3fn"), "F8_E5M2": (8, "float8_e5m2"), "F8_E8M0": (8, "float8_e8m0fnu"),
    "F4": (4, "float4"),
    "I64": (64, "int64"), "I32": (32, "int32"), "I16": (16, "int16"), "I8": (8, "int8"), "BOOL": (8, "bool"),
    "U64": (64, "uint64"), "U32": (32, "uint32"), "U16": (16, "uint16"), "U8": (8, "uint8"), "C64": (64, "complex64"),
}  # fmt: skip


class BadSafetensors(ValueError):
    """A file that is no safetensors file, or a damaged one."""


@dataclass(frozen=True)
class Tensor:
    """One tensor as its file describes it."""

    dtype: str
    shape: tuple[int, ...]
    size_bytes: int

    @property
    def elements(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of one file; raise BadSafetensors when the head does not make sense or the data is cut off."""
    size = regular_size(path)
    if size is None:
        raise BadSafetensors("it is not a regular file")
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if size < 8 or length > min(size - 8, _LONGEST_HEAD):
                raise BadSafetensors("its head is longer than the file")
            head = json.loads(stream.read(length).decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise (
            error if isinstance(error, BadSafetensors) else BadSafetensors(f"its head cannot be read: {error}")
        ) from error
    if not isinstance(head, dict):
        raise BadSafetensors("its head is not an object")
    data = size - 8 - length
    return {str(name): _tensor(str(name), entry, data) for name, entry in head.items() if name != "__metadata__"}


def _tensor(name: str, entry: object, data: int) -> Tensor:
    if not isinstance(entry, dict):
        raise BadSafetensors(f"tensor {name!r} is not described")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or not _naturals(shape) or not _naturals(offsets) or len(offsets) != 2:
        raise BadSafetensors(f"tensor {name!r} is described wrongly")
    begin, end = offsets
    if not begin <= end <= data:
        raise BadSafetensors(f"tensor {name!r} lies beyond the end of the file")
    tensor = Tensor(_DTYPES.get(dtype, (0, dtype.lower()))[1], tuple(shape), end - begin)
    if dtype in _DTYPES and (tensor.elements * _DTYPES[dtype][0] + 7) // 8 != tensor.size_bytes:
        raise BadSafetensors(f"tensor {name!r} has another size than its shape")
    return tensor


def _naturals(value: object) -> TypeGuard[list[int]]:
    # bool is an int in Python; it is no length.
    return isinstance(value, list) and all(type(item) is int and item >= 0 for item in value)


def weight_files(folder: Path) -> list[Path] | None:
    """Return the safetensors files of a folder; None when there are none, or one that the index names is missing."""
    index = read_object(folder / INDEX)
    weight_map = index.get("weight_map")
    if isinstance(weight_map, dict) and weight_map and regular_size(folder / SINGLE) is None:
        # A name with a path in it could lead anywhere.
        names = sorted({str(name) for name in weight_map.values()})
        files = [folder / name for name in names if Path(name).name == name]
        complete = len(files) == len(names) and all(regular_size(file) for file in files)
        return files if complete else None
    if regular_size(folder / SINGLE):
        return [folder / SINGLE]
    return None


@dataclass(frozen=True)
class Weights:
    """The sum of a model's weight files."""

    parameters: int
    dtype: str | None
    size_bytes: int


def read_weights(files: list[Path]) -> Weights:
    """Add up the heads of all files; `dtype` is the type of most of the bytes. Raises BadSafetensors."""
    parameters, by_type = 0, Counter[str]()
    for file in files:
        for tensor in read_safetensors(file).values():
            parameters += tensor.elements
            by_type[tensor.dtype] += tensor.size_bytes
    common = by_type.most_common(1)
    return Weights(parameters, common[0][0] if common else None, sum(regular_size(file) or 0 for file in files))
