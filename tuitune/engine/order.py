"""The order of prompts for stages that make several optimizer steps of one batch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


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
