"""The order of examples where it is not the Trainer's own: several optimizer steps of one batch, and streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch.utils.data import IterableDataset, Sampler

from tuitune.data.streaming import Stream

if TYPE_CHECKING:
    from tuitune.data import Example, Examples


class Repeated(Sampler[int]):
    """Every batch of an epoch's random order `times` times in a row; the last batch is filled up from the beginning.

    The order of an epoch depends on `seed` and the epoch's number alone, so that a resumed run finds its place.
    """

    def __init__(self, count: int, batch: int, times: int, *, seed: int, shuffle: bool = True) -> None:
        self._count, self._batch, self._times = count, batch, times
        self._seed, self._shuffle = seed, shuffle
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next, from 0."""
        self._epoch = epoch

    def __len__(self) -> int:
        return -(-self._count // self._batch) * self._batch * self._times

    def __iter__(self) -> Iterator[int]:
        order = list(range(self._count))
        if self._shuffle:
            generator = torch.Generator().manual_seed(self._seed + self._epoch)
            order = torch.randperm(self._count, generator=generator).tolist()
        for start in range(0, self._count, self._batch):
            batch = [order[place % self._count] for place in range(start, start + self._batch)]
            for _ in range(self._times):
                yield from batch


class Endless(IterableDataset["Example"]):
    """A stream of examples as torch knows one: without a length, so that the Trainer counts steps instead of epochs.

    A resumed run passes over as many batches as were trained on; the stream is the same every time.
    """

    def __init__(self, stream: Stream) -> None:
        self._stream = stream

    @classmethod
    def of(cls, rows: Examples | Stream) -> Examples | Endless:
        """Return a stream as an iterable data set, and other rows as they are."""
        return cls(rows) if isinstance(rows, Stream) else rows

    def __iter__(self) -> Iterator[Example]:
        return iter(self._stream)

    def epochs(self, count: int) -> float:
        """Return how many passes over the data `count` examples are."""
        return self._stream.epochs(count)
