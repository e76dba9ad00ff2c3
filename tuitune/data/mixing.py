"""Several data sets become one: one after another, or drawn in turn; in the order of `datasets.interleave_datasets`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from tuitune.errors import DataError

T = TypeVar("T")
# Draws at once; `datasets` consumes its generator in pieces of this size, so the same seed gives the same order.
_BLOCK = 1000
_NOTHING: Any = object()


def mixed(
    streams: Sequence[Iterable[T]], strategy: str, probs: Sequence[float] | None, seed: int
) -> Iterator[tuple[int, T]]:
    """Yield (which stream, its next item), reading no stream further than one item ahead.

    strategy: concat; interleave_under ends when the first stream is used up; interleave_over when every one is, short
    ones begin again; interleave_once takes every item once. Without `probs`, strictly in turn. Raises DataError for a
    stream that is drawn from and has nothing.
    """
    if strategy == "concat" or len(streams) == 1:
        for place, stream in enumerate(streams):
            yield from ((place, item) for item in stream)
        return
    if probs is None and strategy == "interleave_under":
        yield from _in_turn_until_short(streams)
        return
    readers = [_Reader(stream, place) for place, stream in enumerate(streams)]
    _have_something(readers, strategy, probs)
    if probs is None and strategy == "interleave_over":
        yield from _rounds_of_the_longest(readers)
        return
    # What is never drawn cannot be used up either.
    counted = [r for r, share in zip(readers, probs or [1.0] * len(readers), strict=True) if share > 0]
    if all(reader.used_up for reader in counted):
        return
    for place in _draws(len(streams), probs, seed):
        reader = readers[place]
        if strategy == "interleave_once" and reader.used_up:
            continue
        yield place, reader.take(again=strategy == "interleave_over")
        if (any if strategy == "interleave_under" else all)(r.used_up for r in counted):
            return


def places(
    lengths: Sequence[int], strategy: str, probs: Sequence[float] | None, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the order of `mixed` for data sets of these lengths: which one and which row of it, int64 (rows,) each."""
    if strategy == "concat" or len(lengths) == 1:
        which = np.repeat(np.arange(len(lengths)), lengths)
        return which.astype(np.int64), np.concatenate([np.arange(n) for n in lengths]).astype(np.int64)
    pairs = mixed([range(length) for length in lengths], strategy, probs, seed)
    order = np.fromiter((number for pair in pairs for number in pair), dtype=np.int64).reshape(-1, 2)
    return order[:, 0], order[:, 1]


def probabilities(text: str | None, count: int) -> tuple[float, ...] | None:
    """Return the recipe's interleave_probs for `count` data sets; raises DataError."""
    if text is None or not text.strip():
        return None
    try:
        probs = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise DataError(f"interleave_probs: {text!r} are not numbers", "Write them as 0.7, 0.3.") from None
    if len(probs) != count:
        raise DataError(
            f"interleave_probs has {len(probs)} numbers, and there are {count} data sets", "Give one for each."
        )
    if any(not 0 <= share <= 1 for share in probs) or not math.isclose(sum(probs), 1.0, abs_tol=1e-6):
        raise DataError(
            f"interleave_probs: {text} are not probabilities", "Each lies between 0 and 1; together they are 1."
        )
    return tuple(share / sum(probs) for share in probs) if sum(probs) != 1.0 else probs


class _Reader(Generic[T]):
    """A stream read one item ahead, which tells whether the last item given was its last."""

    def __init__(self, stream: Iterable[T], place: int) -> None:
        self.place = place
        self._stream = stream
        self._items = iter(stream)
        self._next = next(self._items, _NOTHING)
        self.empty = self._next is _NOTHING
        self.used_up = False  # whether every item was there at least once

    def take(self, *, again: bool) -> T:
        """Return the next item; after the last one the stream begins again if asked for."""
        item: T = self._next
        self._next = next(self._items, _NOTHING)
        if self._next is _NOTHING:
            self.used_up = True
            if again:
                self._items = iter(self._stream)
                self._next = next(self._items, _NOTHING)
        return item


def _draws(count: int, probs: Sequence[float] | None, seed: int) -> Iterator[int]:
    """Yield which stream is next, without end."""
    generator = np.random.default_rng(seed)
    while True:
        if probs is None:
            yield from range(count)
        else:
            yield from generator.choice(count, size=_BLOCK, p=probs).tolist()


def _have_something(readers: Sequence[_Reader[T]], strategy: str, probs: Sequence[float] | None) -> None:
    for reader in readers:
        drawn = probs is None or probs[reader.place] > 0
        if drawn and reader.empty and strategy == "interleave_once" and probs is None:
            reader.used_up = True
        elif drawn and reader.empty:
            raise DataError(f"data set {reader.place + 1} has no rows to mix", "Remove it from `dataset`.")
        elif not drawn and strategy != "interleave_under":
            raise DataError(
                f"{strategy} takes every row, but interleave_probs gives data set {reader.place + 1} 0",
                "Use interleave_under, or another probability.",
            )


def _in_turn_until_short(streams: Sequence[Iterable[T]]) -> Iterator[tuple[int, T]]:
    """Yield one item of each stream in turn, in whole rounds."""
    for items in zip(*streams, strict=False):
        yield from enumerate(items)


def _rounds_of_the_longest(readers: Sequence[_Reader[T]]) -> Iterator[tuple[int, T]]:
    """Yield one item of each in turn, in whole rounds, until the longest has given all."""
    while not all(reader.used_up for reader in readers):
        for reader in readers:
            yield reader.place, reader.take(again=True)
