"""What a data set comes to in numbers, counted over arrays: a million rows take a second or two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tuitune.data.examples import Examples
from tuitune.data.options import Check

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tuitune.data.rows import TokenRows

_STEPS = (1, 2, 4, 5, 8, 10, 12, 16, 20, 24, 32, 40, 50, 64, 80)


@dataclass(frozen=True, eq=False)
class Counted:
    """Counts per sequence, each of shape (sequences,).

    answers: stretches of trained tokens; ended: those that end in an end token, trained or right behind; closed: those
    whose end token is trained. mark: a hash of ids, the same for the same ids.
    """

    trained: NDArray[np.int64]
    answers: NDArray[np.int64]
    ended: NDArray[np.int64]
    closed: NDArray[np.int64]
    mark: NDArray[np.uint64]


def count(rows: TokenRows, stop: Sequence[int], check: Check = lambda: None) -> Counted:
    """Count over all sequences; `stop` are the ids that end an answer."""
    found = []
    for part, _ in rows.pieces():
        check()
        found.append(_count(part, stop))
    columns = [np.concatenate(each) for each in zip(*found, strict=True)] if found else [np.zeros(0, np.int64)] * 5
    trained, answers, ended, closed, mark = columns
    return Counted(trained, answers, ended, closed, mark.view(np.uint64))


def _count(rows: TokenRows, stop: Sequence[int]) -> list[NDArray[np.int64]]:
    ids, labelled, edges = rows.ids, rows.labelled, rows.offsets
    owner = np.repeat(np.arange(len(rows)), np.diff(edges))
    stops = np.isin(ids, np.asarray(stop, dtype=ids.dtype))
    learnt = stops & labelled
    learnt[rows.late] = rows.late_id in stop
    first, last = _runs(labelled, edges)
    passed = np.concatenate(([0], np.cumsum(learnt)))
    closed = passed[last + 1] > passed[first]
    # The end token may stand right behind what is trained.
    behind = np.minimum(last + 1, max(len(ids) - 1, 0))
    ended = closed | (stops[behind] & (owner[behind] == owner[last])) if len(first) else closed
    groups = (owner[labelled], owner[first], owner[first][ended], owner[first][closed])
    counts = [np.bincount(each, minlength=len(rows)).astype(np.int64) for each in groups]
    return [*counts, _marks(ids, edges, owner).view(np.int64)]


def _runs(labelled: NDArray[np.bool_], edges: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the first and the last token of every stretch of trained ones; none goes over the edge of a row."""
    begins, ends = labelled.copy(), labelled.copy()
    begins[1:] &= ~labelled[:-1]
    ends[:-1] &= ~labelled[1:]
    inner = edges[1:-1][edges[1:-1] < len(labelled)]
    begins[inner] = labelled[inner]
    before = inner[inner > 0] - 1
    ends[before] = labelled[before]
    return np.flatnonzero(begins), np.flatnonzero(ends)


def _marks(ids: NDArray[np.int32], edges: NDArray[np.int64], owner: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Return a hash of every row: the sum of its tokens, each mixed with its place."""
    place = (np.arange(len(ids)) - edges[:-1][owner]).astype(np.uint64)
    mixed = _mix(ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + place * np.uint64(0xD1B54A32D192ED03))
    total = np.concatenate((np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)))
    return _mix(total[edges[1:]] - total[edges[:-1]] + np.diff(edges).astype(np.uint64))


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64 bits (the finaliser of splitmix64, Steele et al. 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(values ^ (values >> np.uint64(31)), dtype=np.uint64)


def per_example(values: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the sums over the sequences of each example."""
    total = np.concatenate(([0], np.cumsum(values)))
    return np.asarray(total[starts[1:]] - total[starts[:-1]], dtype=np.int64)


def first_like(marks: NDArray[np.uint64], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for every example the first one with the same sequences: itself, unless it is a duplicate."""
    nth = (np.arange(len(marks)) - np.repeat(starts[:-1], np.diff(starts))).astype(np.uint64)
    mixed = _mix(marks + nth * np.uint64(0x9E3779B97F4A7C15))
    total = np.concatenate((np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)))
    _, first, inverse = np.unique(total[starts[1:]] - total[starts[:-1]], return_index=True, return_inverse=True)
    return np.asarray(first[inverse], dtype=np.int64)


def shared(examples: Examples, check: Check = lambda: None) -> NDArray[np.int64]:
    """Return how many tokens two sequences of an example have in common at the beginning, shape (examples,).

    0 for examples of another number of sequences.
    """
    found = np.zeros(len(examples), np.int64)
    for part, first in examples.pieces():
        check()
        pairs = np.flatnonzero(np.diff(part.starts) == 2)
        found[first + pairs] = _common(part.rows, part.starts[:-1][pairs])
    return found


def _common(rows: TokenRows, first: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the length of the common beginning of each row in `first` and the one behind it."""
    sizes = np.minimum(rows.lengths[first], rows.lengths[first + 1])
    begin = np.concatenate(([0], np.cumsum(sizes)))
    within = np.arange(begin[-1]) - np.repeat(begin[:-1], sizes)
    one, other = (np.repeat(rows.offsets[each], sizes) + within for each in (first, first + 1))
    differs = rows.ids[one] != rows.ids[other]
    places, at = np.unique(np.repeat(np.arange(len(first)), sizes)[differs], return_index=True)
    found = sizes.copy()
    found[places] = within[differs][at]
    return found


def padded(lengths: NDArray[np.int64], starts: NDArray[np.int64], batch: int, seed: int) -> int:
    """Return the tokens that a trainer computes which pads every batch to its longest sequence.

    Batches of `batch` examples in a random order; all sequences of a batch are as long as the longest of them.
    """
    examples = len(starts) - 1
    if not examples or not len(lengths):
        return 0
    counts = np.diff(starts)
    longest = np.maximum.reduceat(lengths, np.minimum(starts[:-1], len(lengths) - 1)) * (counts > 0)
    order = np.random.default_rng(seed).permutation(examples)
    begins = np.arange(0, examples, max(1, batch))
    widest = np.maximum.reduceat(longest[order], begins)
    return int((widest * np.add.reduceat(counts[order], begins)).sum())


@dataclass(frozen=True, slots=True)
class Bin:
    """How many sequences have `low` to `high` tokens, both included."""

    low: int
    high: int
    count: int


def histogram(lengths: NDArray[np.int64], bins: int) -> list[Bin]:
    """Return at most so many bins: equal ones, or each twice as wide as the last where lengths vary much."""
    if not len(lengths) or bins < 1:
        return []
    low, high = int(lengths.min()), int(lengths.max())
    if high > 8 * max(1, int(np.median(lengths))):
        edges = _doubling(low, high, bins)
    else:
        widths = (step * 10**power for power in range(12) for step in _STEPS)
        width = next(width for width in widths if high // width - low // width < bins)
        begin = low // width * width
        edges = list(range(begin, high + width + 1, width))
    edges = edges if edges[-1] > high else [*edges, high + 1]
    counts, _ = np.histogram(lengths, bins=np.asarray(edges))
    found = [Bin(edges[n], edges[n + 1] - 1, int(number)) for n, number in enumerate(counts)]
    while found and not found[-1].count:
        found.pop()
    return found


def _doubling(low: int, high: int, bins: int) -> list[int]:
    factor = 2
    while True:
        edges = [1]
        while edges[-1] <= high:
            edges.append(edges[-1] * factor)
        begin = max(0, next(n for n, edge in enumerate(edges) if edge > max(low, 1)) - 1)
        if len(edges) - 1 - begin <= bins or factor > 1 << 20:
            return [0 if low < 1 else edges[begin], *edges[begin + 1 :]]
        factor *= 2
