"""The head of a GGUF file, read by hand: its metadata and the shapes of its tensors, without the weights."""

from __future__ import annotations

import math
import struct
from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from tuitune.fit.files import regular_size

Value = str | int | float | bool | None
Array = list[str] | list[int | float | bool]

# Scalar types of the format, by their number: struct code. 8 is a string, 9 an array.
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9
# Types of tensors, by their number in ggml.
_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 10: "Q2_K", 11: "Q3_K", 12: "Q4_K",
    13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S", 20: "IQ4_NL",
    21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 28: "F64", 29: "IQ1_M", 30: "BF16", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4",
}  # fmt: skip
_MOST_ITEMS = 10_000_000
_MOST_TENSORS = 1_000_000
_LONGEST_STRING = 16 << 20


class BadGguf(ValueError):
    """A file that is no GGUF file, or a damaged one."""


@dataclass(frozen=True)
class GgufHeader:
    """What a GGUF file says about itself.

    metadata: arrays (the vocabulary, mostly) are kept as their lengths; arrays: those that were asked for.
    """

    metadata: dict[str, Value] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    types: dict[str, int] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)

    @property
    def architecture(self) -> str | None:
        """The architecture's name in GGUF's terms."""
        value = self.metadata.get("general.architecture")
        return value if isinstance(value, str) else None

    @property
    def parameters(self) -> int:
        """The number of weights, exactly."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @property
    def dtype(self) -> str | None:
        """The type of most of the weights, in GGUF's terms; None for one not known here."""
        weights = Counter[int]()
        for name, shape in self.shapes.items():
            weights[self.types[name]] += math.prod(shape)
        common = weights.most_common(1)
        return _TYPES.get(common[0][0]) if common else None


def read_gguf(path: Path, arrays: Collection[str] = ()) -> GgufHeader:
    """Read the head of a GGUF file, with the arrays of these names; raise BadGguf for anything that is not one."""
    size = regular_size(path)
    if size is None:
        raise BadGguf("it is not a regular file")
    try:
        with path.open("rb") as stream:
            return _Reader(stream, size).header(arrays)
    except (OSError, UnicodeDecodeError, struct.error) as error:
        raise BadGguf(str(error)) from error


class _Reader:
    """A cursor that never trusts a length it reads."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream = stream
        self._left = size

    def header(self, wanted: Collection[str]) -> GgufHeader:
        if self._take(4) != b"GGUF":
            raise BadGguf("it does not begin with GGUF")
        version = self._number("I")
        if version not in (2, 3):
            raise BadGguf(f"version {version} of the format is not known here")
        tensors, pairs = self._number("Q"), self._number("Q")
        if tensors > _MOST_TENSORS or pairs > _MOST_TENSORS:
            raise BadGguf("it claims an impossible number of entries")
        metadata: dict[str, Value] = {}
        arrays: dict[str, Array] = {}
        for _ in range(pairs):
            name, kind = self._string(), self._number("I")
            if kind == _ARRAY and name in wanted:
                arrays[name] = self._array()
            metadata[name] = len(arrays[name]) if name in arrays else self._value(kind)
        infos = [self._tensor() for _ in range(tensors)]
        return GgufHeader(metadata, {n: s for n, s, _ in infos}, {n: t for n, _, t in infos}, arrays)

    def _tensor(self) -> tuple[str, tuple[int, ...], int]:
        name, dimensions = self._string(), self._number("I")
        if dimensions > 8:
            raise BadGguf(f"tensor {name!r} claims {dimensions} dimensions")
        shape = tuple(self._number("Q") for _ in range(dimensions))
        kind, _offset = self._number("I"), self._number("Q")
        return name, shape, kind

    def _value(self, kind: int) -> Value:
        if kind == _STRING:
            return self._string()
        if kind == _ARRAY:
            return self._skip_array()
        if kind not in _SCALARS:
            raise BadGguf(f"value type {kind} is not known")
        number: Value = struct.unpack("<" + _SCALARS[kind], self._take(struct.calcsize(_SCALARS[kind])))[0]
        return number

    def _array(self) -> Array:
        kind, count = self._array_head()
        if kind in _SCALARS:
            code = f"<{count}{_SCALARS[kind]}"
            return list(struct.unpack(code, self._take(struct.calcsize(code))))
        if kind != _STRING:
            raise BadGguf(f"an array of type {kind} is not known")
        return [self._string() for _ in range(count)]

    def _array_head(self) -> tuple[int, int]:
        kind, count = self._number("I"), self._number("Q")
        if count > _MOST_ITEMS:
            raise BadGguf(f"an array claims {count} items")
        return kind, count

    def _skip_array(self) -> int:
        kind, count = self._array_head()
        if kind in _SCALARS:
            self._skip(count * struct.calcsize(_SCALARS[kind]))
            return count
        if kind != _STRING:
            raise BadGguf(f"an array of type {kind} is not known")
        skip: Callable[[int], None] = self._skip
        for _ in range(count):
            skip(self._number("Q"))
        return count

    def _string(self) -> str:
        length = self._number("Q")
        if length > _LONGEST_STRING:
            raise BadGguf(f"a string claims {length} bytes")
        return self._take(length).decode("utf-8", "replace")

    def _number(self, code: str) -> int:
        value: int = struct.unpack("<" + code, self._take(struct.calcsize(code)))[0]
        return value

    def _take(self, length: int) -> bytes:
        self._left -= length
        if length < 0 or self._left < 0:
            raise BadGguf("it ends in the middle of its head")
        data = self._stream.read(length)
        if len(data) != length:
            raise BadGguf("it ends in the middle of its head")
        return data

    def _skip(self, length: int) -> None:
        self._left -= length
        if self._left < 0:
            raise BadGguf("it ends in the middle of its head")
        self._stream.seek(length, 1)
