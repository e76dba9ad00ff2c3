"""The raw rows' other columns, kept as JSON text and parsed when they are asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
import orjson
from numpy.typing import NDArray

from tuitune.data.pile import Pile


@dataclass(frozen=True, eq=False)
class Kept(Sequence[Mapping[str, Any]]):
    """One object per example: `text` uint8 (bytes,), `ends` int64 (stored + 1,), `order` as in TokenRows."""

    text: NDArray[np.uint8]
    ends: NDArray[np.int64]
    order: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.ends) - 1 if self.order is None else len(self.order)

    @overload
    def __getitem__(self, index: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Mapping[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> Mapping[str, Any] | Sequence[Mapping[str, Any]]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"example {index} of {len(self)}")
        index %= len(self)
        stored = index if self.order is None else int(self.order[index])
        found: dict[str, Any] = orjson.loads(self.text[self.ends[stored] : self.ends[stored + 1]].tobytes())
        return found

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return (self[place] for place in range(len(self)))

    def select(self, places: NDArray[np.int64]) -> Kept:
        """Return those at `places`, in that order."""
        return replace(self, order=places if self.order is None else self.order[places])


class ColumnsBuilder:
    """Collect objects one by one; in memory, or in files called `<stem>.columns.npy` and `<stem>.ends.npy`."""

    def __init__(self, stem: Path | None = None) -> None:
        self._text = Pile(np.uint8, None if stem is None else stem.with_name(f"{stem.name}.columns.npy"))
        self._ends = Pile(np.int64, None if stem is None else stem.with_name(f"{stem.name}.ends.npy"))
        self._ends.add(np.zeros(1, np.int64))

    def add(self, columns: Sequence[Mapping[str, Any]]) -> None:
        """Append some objects; what JSON does not know becomes its text."""
        texts = [_json(each) for each in columns]
        begin = len(self._text)
        self._text.add(np.frombuffer(b"".join(texts), dtype=np.uint8))
        self._ends.add(begin + np.cumsum([len(text) for text in texts], dtype=np.int64))

    def done(self) -> Kept:
        """Return what was collected."""
        return Kept(self._text.done(), self._ends.done())


def _json(columns: Mapping[str, Any]) -> bytes:
    try:
        return orjson.dumps(columns, default=str, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:  # a whole number of more than 64 bits
        return json.dumps(columns, default=str).encode()
