"""Least, greatest and mean of stretches of a long column, without looking at every number each time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

_SIZE = 64


class Stretch(NamedTuple):
    """What a stretch of numbers comes to; `gaps` counts those that are not finite."""

    low: float
    high: float
    total: float
    finite: int
    gaps: int

    @property
    def mean(self) -> float:
        """The mean of the finite numbers, nan without any."""
        return self.total / self.finite if self.finite else math.nan


_NOTHING = Stretch(math.inf, -math.inf, 0.0, 0, 0)


class Blocks:
    """Summaries of a column that only grows; a column that was cut needs a new one of these."""

    def __init__(self, values: Sequence[float]) -> None:
        self.values = values
        self._blocks: list[Stretch] = []

    def stretch(self, start: int, stop: int) -> Stretch:
        """Return what the numbers from `start` up to `stop` come to."""
        first, last = -(-start // _SIZE), stop // _SIZE
        if first >= last:
            return _sum_up(self.values[start:stop])
        self._catch_up(last)
        edges = (_sum_up(self.values[start : first * _SIZE]), _sum_up(self.values[last * _SIZE : stop]))
        return _join([*self._blocks[first:last], *edges])

    def bins(self, bounds: Sequence[int]) -> list[Stretch]:
        """Return the stretches between neighbours in `bounds`; wide ones are taken in whole blocks."""
        count = len(bounds) - 1
        if count > 0 and bounds[-1] - bounds[0] > count * 8 * _SIZE:
            # An edge that moves by less than an eighth of a bin cannot be seen.
            bounds = [bounds[0], *(bound // _SIZE * _SIZE for bound in bounds[1:-1]), bounds[-1]]
        return [self.stretch(max(a, bounds[0]), b) for a, b in pairwise(bounds)]

    def _catch_up(self, count: int) -> None:
        for index in range(len(self._blocks), count):
            self._blocks.append(_sum_up(self.values[index * _SIZE : (index + 1) * _SIZE]))


def _sum_up(values: Sequence[float]) -> Stretch:
    if not values:
        return _NOTHING
    # Only finite numbers have a difference of zero to themselves.
    known = [value for value in values if value - value == 0]
    gaps = len(values) - len(known)
    if not known:
        return Stretch(math.inf, -math.inf, 0.0, 0, gaps)
    return Stretch(min(known), max(known), sum(known), len(known), gaps)


def _join(parts: Sequence[Stretch]) -> Stretch:
    low = min(part.low for part in parts)
    high = max(part.high for part in parts)
    total = sum(part.total for part in parts)
    return Stretch(low, high, total, sum(part.finite for part in parts), sum(part.gaps for part in parts))
