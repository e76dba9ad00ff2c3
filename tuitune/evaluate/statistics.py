"""Intervals of 95 %: of a figure of one model, and of the difference between two models on the same rows.

Everything but shares goes by the percentile bootstrap over rows (Efron and Tibshirani, An Introduction to the
Bootstrap, 1993, chapter 13; for corpus BLEU: Koehn, EMNLP 2004): rows are drawn with replacement, the same ones for
both models of a difference, and the figure is computed of what was drawn. A share of yes among rows has the interval of
Wilson (JASA 22, 1927), the difference of two shares of the same rows that of Newcombe (Statistics in Medicine 17, 1998,
method 10): unlike the bootstrap they do not shrink to a point where all rows agree.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tuitune.run.evaluation import Difference, Estimate, Verdict

Array = NDArray[np.float64]
CONFIDENCE = 0.95
RESAMPLES = 2000
_Z = 1.959963984540054  # of a standard normal number, 95 % lie within +- this
_LEAST = 5  # rows, below which the bootstrap's intervals are far too narrow
_AT_ONCE = 1 << 21  # drawn rows that are added up together
_MOST = 40_000_000  # drawn rows altogether: beyond 20,000 rows fewer resamples do


@dataclass(frozen=True)
class Sample:
    """What a figure of one model is computed from, row by row.

    ids: of the rows. sums: (rows, k), what is added up over the rows. figure: makes figures (...,) of sums (..., k).
    yes: whether the figure is the share of rows (in the unit `scale`) whose first sum is 1 rather than 0.
    """

    ids: Sequence[str]
    sums: Array
    figure: Callable[[Array], Array]
    yes: bool = False
    scale: float = 1.0

    def of(self, ids: Sequence[str]) -> Sample:
        """Return the sample of these rows, in this order."""
        places = {name: place for place, name in enumerate(self.ids)}
        chosen = self.sums[[places[name] for name in ids]]
        return Sample(list(ids), chosen, self.figure, self.yes, self.scale)

    @property
    def value(self) -> float:
        """The figure of all rows."""
        return float(self.figure(self.sums.sum(0)))


def mean(
    ids: Sequence[str], values: Sequence[float], weights: Sequence[float] | None = None, *, scale: float = 1.0,
    share: bool = False, shape: Callable[[Array], Array] = lambda x: x,
) -> Sample:  # fmt: skip
    """Return the sample of a mean, weighted where weights are given; `shape` is applied to it (exp: perplexity).

    share: the values say yes (1) or no (0); a mean of numbers that happen to be all 0 is none.
    """
    numbers = np.asarray(values, dtype=np.float64)
    many = np.ones_like(numbers) if weights is None else np.asarray(weights, dtype=np.float64)
    yes = share and weights is None and bool(np.isin(numbers, (0.0, 1.0)).all())

    def figure(sums: Array) -> Array:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            found: Array = scale * shape(sums[..., 0] / sums[..., 1])
        return found

    return Sample(list(ids), np.stack([numbers * many, many], 1), figure, yes, scale)


def estimate(sample: Sample, seed: int) -> Estimate:
    """Return the figure with its interval; of means without one for fewer than five rows, which tell nothing of it."""
    count = len(sample.ids)
    if sample.yes:
        low, high = wilson(int(sample.sums[:, 0].sum()), count)
        return Estimate(sample.value, sample.scale * low, sample.scale * high, count)
    if count < _LEAST:
        return Estimate(sample.value, None, None, count)
    return Estimate(sample.value, *_ends(_resampled([sample], seed)[0]), count)


def difference(own: Sample, other: Sample, against: str, better: str, seed: int) -> Difference:
    """Return how much more `own` has than `other` (called `against`), over the rows that both have."""
    there = set(other.ids)
    ids = [name for name in own.ids if name in there]
    a, b = own.of(ids), other.of(ids)
    value = a.value - b.value
    if a.yes and b.yes and ids:
        low, high = (own.scale * end for end in newcombe(a.sums[:, 0] > 0, b.sums[:, 0] > 0))
    elif len(ids) < _LEAST:
        return Difference(against, value, None, None, "unclear")
    else:
        first, second = _resampled([a, b], seed)
        low, high = _ends(first - second)
    return Difference(against, value, low, high, verdict(low, high, better))


def verdict(low: float, high: float, better: str) -> Verdict:
    """Return whether a difference with this interval is clear, and whether it is a good one."""
    if not (low > 0 or high < 0):  # not numbers: nothing is clear
        return "unclear"
    if not better:
        return "differs"
    return "better" if (low > 0) == (better == "more") else "worse"


def _ends(figures: Array) -> tuple[float, float]:
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(figures, [tail, 1 - tail])
    return float(low), float(high)


def _resampled(samples: Sequence[Sample], seed: int) -> list[Array]:
    """Return the figures (resamples,) of each sample; the same rows are drawn for all, which must have the same."""
    counts = drawn(len(samples[0].ids), seed)
    step = max(1, _AT_ONCE // counts.shape[1])
    found: list[list[Array]] = [[] for _ in samples]
    for start in range(0, len(counts), step):
        some = counts[start : start + step].astype(np.float64)
        for figures, sample in zip(found, samples, strict=True):
            figures.append(sample.figure(some @ sample.sums))
    return [np.concatenate(figures) for figures in found]


@functools.lru_cache(maxsize=2)
def drawn(rows: int, seed: int) -> NDArray[Any]:
    """Return how often each row was drawn (resamples, rows)."""
    times = max(200, min(RESAMPLES, _MOST // rows))
    draw = np.random.default_rng(seed)
    found = np.empty((times, rows), dtype=np.uint16 if rows < 1 << 16 else np.uint32)
    for place in range(times):
        found[place] = np.bincount(draw.integers(rows, size=rows), minlength=rows)
    return found


# Shares


def wilson(yes: int, count: int) -> tuple[float, float]:
    """Return Wilson's interval of the share `yes / count`."""
    if not count:
        return 0.0, 1.0
    share, z2 = yes / count, _Z * _Z
    middle = (share + z2 / (2 * count)) / (1 + z2 / count)
    half = _Z * math.sqrt(share * (1 - share) / count + z2 / (4 * count * count)) / (1 + z2 / count)
    return (0.0 if yes == 0 else middle - half), (1.0 if yes == count else middle + half)


def newcombe(own: NDArray[np.bool_], other: NDArray[np.bool_]) -> tuple[float, float]:
    """Return the interval of share(own) - share(other), answers (rows,) to the same rows (Newcombe's method 10)."""
    count = len(own)
    p1, p2 = float(own.mean()), float(other.mean())
    (l1, u1), (l2, u2) = wilson(int(own.sum()), count), wilson(int(other.sum()), count)
    phi = _correlation(own, other)
    below = (p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2
    above = (u1 - p1) ** 2 - 2 * phi * (u1 - p1) * (p2 - l2) + (p2 - l2) ** 2
    return p1 - p2 - math.sqrt(max(0.0, below)), p1 - p2 + math.sqrt(max(0.0, above))


def _correlation(own: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """Return phi of the fourfold table, corrected for continuity where it is positive."""
    count = len(own)
    a, b = int((own & other).sum()), int((own & ~other).sum())
    c, d = int((~own & other).sum()), int((~own & ~other).sum())
    below = math.sqrt((a + b) * (c + d) * (a + c) * (b + d))
    if not below:
        return 0.0
    above = a * d - b * c
    return (max(above - count / 2, 0.0) if above > 0 else above) / below
