"""How many numbers of a model learn."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Count:
    """Numbers that learn, of so many of the model with what a method adds to it."""

    trained: int
    total: int

    @property
    def share(self) -> float:
        """The share that learns, from 0 to 1."""
        return self.trained / self.total if self.total else 0.0

    def words(self) -> str:
        """Return it as `2,442,240 of 136,957,248 parameters (1.8 %)`."""
        return f"{self.trained:,} of {self.total:,} parameters ({percent(self.share)})"


def percent(share: float) -> str:
    """Return a share in per cent: 100 %, 7.3 %, 0.052 %; one that is not all is never rounded to all or nothing."""
    if share in (0.0, 1.0):
        return f"{share:.0%}".replace("%", " %")
    value = 100 * share
    digits = next((n for n in range(1, 8) if value >= 10 ** (1 - n)), 8)
    return f"{min(value, 99.9):.{digits}f} %"


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers as `0-3,7,9-11`."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in runs)
