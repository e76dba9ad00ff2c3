"""Token rows in flat arrays: 5 bytes per token instead of the 70 of Python lists, in memory or mapped from files."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from tuitune.data.pile import Pile

IGNORED = -100
# What is worked on at once: about a hundredth of a second, in which no other thread may get a word in.
TOKENS = 1 << 19
_ROWS = 1 << 17


class Row(TypedDict):
    """One row as transformers knows it; labels are not shifted, -100 is not trained."""

    input_ids: list[int]
    labels: list[int]


def _none() -> NDArray[np.int64]:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class TokenRows:
    """Rows of token ids with a mask of the trained ones; picklable, and a data set as torch understands it.

    `ids` int32 and `labelled` bool have shape (tokens,), `offsets` int64 has shape (stored rows + 1,). `order` int64,
    shape (rows,): which stored row is where; None: all, as they are stored. `late` int64: the labelled places in `ids`
    whose label is `late_id` instead of their own id (templates that end an answer only with the next question).
    """

    ids: NDArray[np.int32]
    labelled: NDArray[np.bool_]
    offsets: NDArray[np.int64]
    order: NDArray[np.int64] | None = None
    late: NDArray[np.int64] = field(default_factory=_none)
    late_id: int = IGNORED

    def __len__(self) -> int:
        return len(self.offsets) - 1 if self.order is None else len(self.order)

    def __getitem__(self, index: int) -> Row:
        if not -len(self) <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        index %= len(self)
        stored = index if self.order is None else int(self.order[index])
        begin, end = int(self.offsets[stored]), int(self.offsets[stored + 1])
        ids = self.ids[begin:end]
        labels = np.where(self.labelled[begin:end], ids, IGNORED)
        if len(self.late):
            first, last = np.searchsorted(self.late, (begin, end))
            labels[self.late[first:last] - begin] = self.late_id
        return {"input_ids": ids.tolist(), "labels": labels.tolist()}

    def ids_at(self, index: int) -> list[int]:
        """Return the ids of one row."""
        stored = index if self.order is None else int(self.order[index])
        found: list[int] = self.ids[self.offsets[stored] : self.offsets[stored + 1]].tolist()
        return found

    def __iter__(self) -> Iterator[Row]:
        return (self[index] for index in range(len(self)))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens per row, shape (rows,)."""
        stored = np.diff(self.offsets)
        return stored if self.order is None else stored[self.order]

    @property
    def labelled_counts(self) -> NDArray[np.int64]:
        """Trained tokens per row, shape (rows,)."""
        stored = len(self.offsets) - 1
        counts = np.zeros(stored, dtype=np.int64)
        for first, last in blocks(self.offsets):
            begin = int(self.offsets[first])
            totals = np.cumsum(self.labelled[begin : int(self.offsets[last])], dtype=np.int64)
            totals = np.concatenate(([0], totals))
            counts[first:last] = np.diff(totals[self.offsets[first : last + 1] - begin])
        return counts if self.order is None else counts[self.order]

    def select(self, indices: Sequence[int] | NDArray[np.int64]) -> TokenRows:
        """Return the rows at `indices`, in that order; the tokens are not copied."""
        chosen = np.asarray(indices, dtype=np.int64)
        return replace(self, order=chosen if self.order is None else self.order[chosen])

    def part(self, first: int, last: int) -> TokenRows:
        """Return the rows from `first` to `last` (not included), stored by themselves."""
        chosen = np.arange(first, last) if self.order is None else self.order[first:last]
        lengths = self.offsets[chosen + 1] - self.offsets[chosen]
        offsets = np.concatenate(([0], np.cumsum(lengths)))
        places = np.repeat(self.offsets[chosen] - offsets[:-1], lengths) + np.arange(offsets[-1])
        found = np.minimum(np.searchsorted(self.late, places), max(len(self.late) - 1, 0))
        late = np.flatnonzero(self.late[found] == places) if len(self.late) else _none()
        return TokenRows(self.ids[places], self.labelled[places], offsets, None, late, self.late_id)

    def pieces(self) -> Iterator[tuple[TokenRows, int]]:
        """Yield all rows half a million tokens at a time, each piece stored by itself, with how many came before it."""
        offsets = np.concatenate(([0], np.cumsum(self.lengths)))
        for first, last in blocks(offsets):
            yield self.part(first, last), first


def blocks(offsets: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield from which row to which (not included) about TOKENS tokens go; a longer row stands alone."""
    first, count = 0, len(offsets) - 1
    while first < count:
        last = int(np.searchsorted(offsets, offsets[first] + TOKENS, side="right")) - 1
        last = min(max(last, first + 1), first + _ROWS, count)
        yield first, last
        first = last


class RowsBuilder:
    """Collect rows one by one, in memory or in the files `<stem>.*.npy` of a folder; `done` makes TokenRows of them."""

    def __init__(self, stem: Path | None = None, late_id: int | None = None) -> None:
        self._ids, self._labelled, self._late = array("i"), array("b"), array("q")
        self._offsets = array("q", [0])
        self._late_id = IGNORED if late_id is None else late_id
        self._stored = {name: Pile(kind, file_of(stem, name)) for name, kind in KINDS_OF_ARRAYS.items()}

    def __len__(self) -> int:
        return len(self._stored["offsets"]) + len(self._offsets) - 1

    def add(self, ids: Sequence[int], labelled: Sequence[int], late: Sequence[int] = ()) -> None:
        """Append one row; `labelled` holds 0 or 1 per token, `late` the places in it whose label is the late id."""
        begin = self._offsets[-1]
        self._ids.extend(ids)
        self._labelled.extend(labelled)
        self._late.extend(begin + place for place in late)
        self._offsets.append(begin + len(ids))
        if len(self._ids) >= TOKENS:
            self._store()

    def done(self) -> TokenRows:
        """Return what was collected."""
        self._store()
        self._stored["offsets"].add(np.array(self._offsets, dtype=np.int64))
        kept: dict[str, Any] = {name: pile.done() for name, pile in self._stored.items()}
        return TokenRows(**kept, late_id=self._late_id)

    def _store(self) -> None:
        """Move what has come together to the piles, but for the end of the last row, where the next one begins."""
        self._stored["ids"].add(np.array(self._ids, dtype=np.int32))
        self._stored["labelled"].add(np.array(self._labelled, dtype=np.bool_))
        self._stored["late"].add(np.array(self._late, dtype=np.int64))
        self._stored["offsets"].add(np.array(self._offsets[:-1], dtype=np.int64))
        self._ids, self._labelled, self._late = array("i"), array("b"), array("q")
        self._offsets = array("q", self._offsets[-1:])


KINDS_OF_ARRAYS = {"ids": np.int32, "labelled": np.bool_, "offsets": np.int64, "late": np.int64}


def file_of(stem: Path | None, name: str) -> Path | None:
    """Return where the array `name` of the rows called `stem` lies."""
    return None if stem is None else stem.with_name(f"{stem.name}.{name}.npy")
