"""Several rows in one example: packs of whole rows, and documents one after another cut into pieces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tuitune.data.examples import Examples, Origins
from tuitune.data.options import Check
from tuitune.data.pile import Pile
from tuitune.data.rows import TokenRows

_LOOK_EVERY = 1 << 14  # packed rows between two looks at whether the user cancelled


def packed(examples: Examples, capacity: int, check: Check) -> Examples:
    """Return packs of at most `capacity` tokens; in a pack every row stays a sequence of its own.

    A row that is longer stands alone. The origin of a pack is that of its first row, what was lost is summed.
    """
    order, starts = best_fit(examples.rows.lengths, capacity, check)
    origins = examples.origins
    if origins is not None:
        first = order[starts[:-1]]
        lost = np.add.reduceat(origins.lost[order], starts[:-1])
        origins = Origins(origins.files, origins.file[first], origins.number[first], lost)
    return Examples(examples.rows.select(order), starts, np.arange(len(starts) - 1), origins=origins)


def best_fit(lengths: NDArray[np.int64], capacity: int, check: Check) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows in the order of their packs, and where each pack begins, shape (packs + 1,).

    A pack begins with the longest row that is left and takes, again and again, the longest that still fits. Rows of
    one length are taken in their own order, so that the packs depend on the lengths alone.
    """
    sizes = np.minimum(lengths, capacity)
    order = np.argsort(sizes, kind="stable")
    sorted_sizes = sizes[order]
    # Rows of length n stand at places[n] to ends[n] of `order`.
    values = np.arange(capacity + 1)
    places = np.searchsorted(sorted_sizes, values, side="left").tolist()
    ends = np.searchsorted(sorted_sizes, values, side="right").tolist()
    below = list(range(capacity + 1))  # below[n]: the greatest length up to n with rows left, or on the way to it
    taken: list[int] = []
    starts = [0]
    room = capacity
    while len(taken) < len(order):
        if len(taken) % _LOOK_EVERY == 0:
            check()
        size = _greatest(below, places, ends, room)
        if size == 0:
            starts.append(len(taken))
            room = capacity
            continue
        taken.append(places[size])
        places[size] += 1
        room -= size
    starts.append(len(taken))
    return order[np.array(taken, dtype=np.int64)], np.array(starts, dtype=np.int64)


def _greatest(below: list[int], places: list[int], ends: list[int], room: int) -> int:
    """Return the greatest length up to `room` of which rows are left, 0 if there is none; shortens the way to it."""
    size = room
    while size > 0 and (below[size] != size or places[size] >= ends[size]):
        if below[size] == size:
            below[size] = size - 1
        below[size] = below[below[size]]
        size = below[size]
    return size


def follow(documents: Examples, length: int, stem: Path | None, check: Check) -> Examples:
    """Return the documents one after another, cut into pieces of `length` tokens; the last piece is shorter.

    Attention and loss run across the documents of a piece, as in pre-training. A piece has the origin of the document
    that it begins in.
    """
    rows = documents.rows if documents.rows.order is None else stored(documents.rows, stem, check)
    total = int(rows.offsets[-1])
    offsets = np.append(np.arange(0, total, length, dtype=np.int64), total)
    return _cut(documents, rows, offsets)


def by_itself(documents: Examples, length: int, stem: Path | None, check: Check) -> Examples:
    """Return every document cut into pieces of `length` tokens; none holds text of two."""
    rows = documents.rows if documents.rows.order is None else stored(documents.rows, stem, check)
    counts = -(-rows.lengths // length)
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    offsets = np.append(np.repeat(rows.offsets[:-1], counts) + within * length, rows.offsets[-1])
    return _cut(documents, rows, offsets)


def _cut(documents: Examples, rows: TokenRows, offsets: NDArray[np.int64]) -> Examples:
    origins = documents.origins
    if origins is not None:
        origins = origins.select(np.searchsorted(rows.offsets, offsets[:-1], side="right") - 1)
    return Examples.of(TokenRows(rows.ids, rows.labelled, offsets), origins=origins)


def stored(rows: TokenRows, stem: Path | None, check: Check) -> TokenRows:
    """Return the rows stored in their order."""
    ids, labelled = (Pile(kind, None if stem is None else stem.with_name(f"{stem.name}.{name}.npy"))
                     for name, kind in (("ids", np.int32), ("labelled", np.bool_)))  # fmt: skip
    for piece, _ in rows.pieces():
        check()
        ids.add(piece.ids)
        labelled.add(piece.labelled)
    offsets = np.concatenate(([0], np.cumsum(rows.lengths)))
    return TokenRows(ids.done(), labelled.done(), offsets)
