"""How the cards of a machine share the rows of a pane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

FULL, BRIEF, LINE = 5, 2, 1


@dataclass(frozen=True)
class Plan:
    """The first card shown, the rows of each, those for details of the one in full, and those about the host."""

    first: int
    sizes: tuple[int, ...]
    details: int = 0
    host: int = 0

    def gap_before(self, place: int) -> bool:
        """Whether a blank row stands before the card at `place`: only single lines stand close."""
        return place > 0 and _parted(self.sizes[place - 1], self.sizes[place])


def plan(count: int, at: int, height: int) -> Plan:
    """Return how `count` cards share `height` rows: the one `at` the cursor in full, the others as large as fits."""
    for other in (FULL, BRIEF, LINE):
        sizes = tuple(FULL if index == at else other for index in range(count))
        room = height - _rows(sizes)
        if room >= 0:
            host = 2 if room >= 3 else 0
            # One row for the blank above the host lines, one for the blank above the details.
            return Plan(0, sizes, max(0, room - (host + 1 if host else 0) - 1), host)
    lines = max(0, height - FULL - 2)
    first = max(0, min(at - lines // 2, count - lines - 1))
    return Plan(first, tuple(FULL if first + place == at else LINE for place in range(min(count, lines + 1))))


def _rows(sizes: Sequence[int]) -> int:
    return sum(sizes) + sum(_parted(one, next_) for one, next_ in pairwise(sizes))


def _parted(one: int, other: int) -> bool:
    return one != LINE or other != LINE
