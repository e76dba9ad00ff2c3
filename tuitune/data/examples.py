"""What a stage learns from, one by one: an example is one sequence, a pack of them, or a pair with a common prompt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from tuitune.data.columns import Kept
from tuitune.data.rows import Row, TokenRows, blocks

if TYPE_CHECKING:
    from numpy.typing import NDArray

Columns = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Example:
    """One example of a stage.

    sft, pt: one sequence, or the sequences of a pack. Preferences: the chosen one, then the rejected one. kto: the
    answer, then another example's answer to this prompt (for the KL term). Prompts: the prompt, nothing labelled.
    index: a number that no other example of the training and the evaluation set has. desirable: kto's label.
    columns: what reward functions may look at.
    """

    sequences: tuple[Row, ...]
    index: int = 0
    desirable: bool | None = None
    columns: Columns = field(default_factory=dict)

    @classmethod
    def of(cls, ids: Sequence[int], labels: Sequence[int]) -> Example:
        """Return an example of one sequence."""
        return cls(({"input_ids": list(ids), "labels": list(labels)},))


@dataclass(frozen=True, eq=False)
class Origins:
    """Where examples come from: file int32 (examples,) into `files`, its row number int64 (from 1; jsonl: the line),
    and how many tokens each lost to cutoff_len, lost int64.

    A pack has the origin of its first row.
    """

    files: tuple[str, ...]
    file: NDArray[np.int32]
    number: NDArray[np.int64]
    lost: NDArray[np.int64]

    def select(self, places: NDArray[np.int64]) -> Origins:
        """Return those at `places`."""
        return Origins(self.files, self.file[places], self.number[places], self.lost[places])

    def words(self, place: int) -> str:
        """Return file and row of one example."""
        return f"{self.files[self.file[place]]}, row {self.number[place]}"


@dataclass(frozen=True, eq=False)
class Examples:
    """A data set of examples over token rows, as torch understands one.

    Example i has the rows `starts[i]` to `starts[i + 1]`; starts int64 (examples + 1,), indices int64 (examples,),
    desirable bool (examples,) for kto, columns: one mapping per example for stages with reward functions.
    """

    rows: TokenRows
    starts: NDArray[np.int64]
    indices: NDArray[np.int64]
    desirable: NDArray[np.bool_] | None = None
    columns: Sequence[Columns] | None = None
    origins: Origins | None = None

    @classmethod
    def of(
        cls,
        rows: TokenRows,
        per: int = 1,
        *,
        desirable: NDArray[np.bool_] | None = None,
        columns: Sequence[Columns] | None = None,
        origins: Origins | None = None,
    ) -> Examples:
        """Return examples of `per` rows each."""
        starts = np.arange(0, len(rows) + 1, per, dtype=np.int64)
        return cls(rows, starts, np.arange(len(starts) - 1, dtype=np.int64), desirable, columns, origins)

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, place: int) -> Example:
        if not -len(self) <= place < len(self):
            raise IndexError(f"example {place} of {len(self)}")
        place %= len(self)
        rows = tuple(self.rows[n] for n in range(int(self.starts[place]), int(self.starts[place + 1])))
        desirable = None if self.desirable is None else bool(self.desirable[place])
        columns = {} if self.columns is None else self.columns[place]
        return Example(rows, int(self.indices[place]), desirable, columns)

    def __iter__(self) -> Iterator[Example]:
        return (self[place] for place in range(len(self)))

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return int(self.rows.lengths.max()) if len(self.rows) else 0

    @property
    def largest(self) -> int:
        """Tokens of the largest example, all its sequences together."""
        offsets = np.concatenate(([0], np.cumsum(self.rows.lengths)))[self.starts]
        return int(np.diff(offsets).max()) if len(self) else 0

    def select(self, places: Sequence[int] | NDArray[np.int64]) -> Examples:
        """Return the examples at `places`, in that order; their tokens are not copied."""
        chosen = np.asarray(places, dtype=np.int64)
        counts = np.diff(self.starts)[chosen]
        starts = np.concatenate(([0], np.cumsum(counts, dtype=np.int64))).astype(np.int64)
        rows = np.repeat(self.starts[:-1][chosen] - starts[:-1], counts) + np.arange(starts[-1])
        return Examples(
            self.rows.select(rows), starts, self.indices[chosen],
            None if self.desirable is None else self.desirable[chosen],
            _selected(self.columns, chosen),
            None if self.origins is None else self.origins.select(chosen),
        )  # fmt: skip

    def numbered(self, first: int = 0) -> Examples:
        """Return the same with indices that count from `first`."""
        return replace(self, indices=np.arange(first, first + len(self), dtype=np.int64))

    def pieces(self) -> Iterator[tuple[Examples, int]]:
        """Yield all examples half a million tokens at a time, rows stored by themselves, and the first's place."""
        offsets = np.concatenate(([0], np.cumsum(self.rows.lengths)))[self.starts]
        for first, last in blocks(offsets):
            some = self.select(np.arange(first, last))
            yield replace(some, rows=some.rows.part(0, len(some.rows))), first


def _selected(columns: Sequence[Columns] | None, chosen: NDArray[np.int64]) -> Sequence[Columns] | None:
    if columns is None or isinstance(columns, Kept):
        return None if columns is None else columns.select(chosen)
    return [columns[place] for place in chosen]
