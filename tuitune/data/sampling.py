"""Fewer rows, or more, than a file has; only row numbers are held, and the file is gone through again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from tuitune.data.files import RawRow, Rows


@dataclass(frozen=True)
class First:
    """The first `count` rows."""

    rows: Rows
    count: int

    def __iter__(self) -> Iterator[RawRow]:
        return islice(self.rows, self.count)

    @property
    def expected(self) -> int | None:
        """See Rows."""
        known = self.rows.expected
        return None if known is None else min(known, self.count)


@dataclass(frozen=True)
class Drawn:
    """`wanted` rows drawn without repetition while there are enough, then with it, as LLaMA-Factory does.

    They come in the order of the file, and those that are drawn several times once in each of several passes. The draw
    does not depend on which other data sets are trained on. limit: only the first so many of the draw.
    """

    rows: Rows
    wanted: int
    limit: int | None
    seed: int
    name: str

    def __iter__(self) -> Iterator[RawRow]:
        for turn in range(int(self._times.max(initial=0))):
            for row, times in zip(self.rows, self._times, strict=True):
                if times > turn:
                    yield row

    @property
    def expected(self) -> int | None:
        """See Rows."""
        return self.wanted if self.limit is None else min(self.wanted, self.limit)

    @cached_property
    def _times(self) -> NDArray[np.int32]:
        """How often each row of the file is drawn, int32 (rows of the file,); reads it once to count them."""
        count = sum(1 for _ in self.rows)
        if not count:
            return np.zeros(0, dtype=np.int32)
        salt = int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:4], "big")
        generator = np.random.default_rng((self.seed, salt))
        order = generator.permutation(count)[: self.wanted]
        more = generator.choice(count, max(self.wanted - len(order), 0))
        drawn = np.concatenate((order, more))[: self.limit]
        return np.bincount(drawn, minlength=count).astype(np.int32)
