"""Intervals: against definitions written out by hand, and whether they hold what they promise."""

from __future__ import annotations

import math
import random
import statistics as plain

import numpy as np
import pytest

from tuitune.evaluate import statistics
from tuitune.evaluate.statistics import difference, estimate, mean, newcombe, wilson

IDS = [str(place) for place in range(60)]


def test_wilson_is_where_the_test_of_the_share_just_does_not_reject() -> None:
    for yes, count in ((1, 10), (7, 9), (30, 60), (59, 60)):
        for end in wilson(yes, count):
            # The definition: |share - p| = z sqrt(p (1 - p) / n), solved for p.
            assert abs(yes / count - end) == pytest.approx(1.959964 * math.sqrt(end * (1 - end) / count), rel=1e-5)
    assert wilson(0, 8) == (0.0, pytest.approx(1.959964**2 / (8 + 1.959964**2), rel=1e-5))
    assert wilson(8, 8)[1] == 1.0


def test_newcombe_is_the_square_and_add_method_written_out() -> None:
    a, b, c, d = 36, 12, 2, 30  # both right, only the first, only the second, none
    own = np.array([True] * (a + b) + [False] * (c + d))
    other = np.array([True] * a + [False] * b + [True] * c + [False] * d)
    n = a + b + c + d
    p1, p2 = (a + b) / n, (a + c) / n
    (l1, u1), (l2, u2) = wilson(a + b, n), wilson(a + c, n)
    phi = max(a * d - b * c - n / 2, 0) / math.sqrt((a + b) * (c + d) * (a + c) * (b + d))
    low = p1 - p2 - math.sqrt((p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2)
    high = p1 - p2 + math.sqrt((p2 - l2) ** 2 - 2 * phi * (p2 - l2) * (u1 - p1) + (u1 - p1) ** 2)
    assert newcombe(own, other) == pytest.approx((low, high))
    assert newcombe(np.ones(9, bool), np.zeros(9, bool))[0] < 1  # all against none: still not certain


def test_the_bootstrap_of_a_weighted_mean_is_that_of_rows_drawn_one_by_one() -> None:
    draw = random.Random(3)
    values, weights = [draw.gauss(2, 1) for _ in IDS], [draw.randint(1, 40) for _ in IDS]
    found = estimate(mean(IDS, values, weights), seed=1)
    assert found.value == pytest.approx(sum(v * w for v, w in zip(values, weights, strict=True)) / sum(weights))
    means = []
    for _ in range(4000):
        rows = draw.choices(range(60), k=60)
        means.append(sum(values[i] * weights[i] for i in rows) / sum(weights[i] for i in rows))
    ends = plain.quantiles(means, n=40)
    spread = ends[-1] - ends[0]
    assert found.low == pytest.approx(ends[0], abs=0.1 * spread)
    assert found.high == pytest.approx(ends[-1], abs=0.1 * spread)
    assert estimate(mean(IDS, values, weights), seed=1) == found  # the same seed, the same interval


def test_intervals_of_means_hold_the_truth_about_95_times_in_a_hundred() -> None:
    draw = np.random.default_rng(0)
    held = 0
    for trial in range(100):
        found = estimate(mean(IDS, draw.normal(5, 2, 60)), seed=trial)
        held += found.low <= 5 <= found.high  # type: ignore[operator]
    assert 88 <= held <= 99


def test_perplexity_has_the_interval_of_the_loss() -> None:
    values = [1 + place / 60 for place in range(60)]
    loss, found = estimate(mean(IDS, values), 0), estimate(mean(IDS, values, shape=np.exp), 0)
    assert (found.value, found.low) == pytest.approx((math.exp(loss.value), math.exp(loss.low or 0)), rel=1e-3)


def test_differences_are_taken_row_by_row_and_so_are_narrow_where_rows_agree() -> None:
    draw = np.random.default_rng(0)
    base = draw.normal(3, 2, 60)  # rows differ a lot, the models by a little
    own = base - 0.1 - draw.normal(0, 0.05, 60)
    shuffled = [IDS[place] for place in draw.permutation(60)]
    by_id = dict(zip(IDS, own.tolist(), strict=True))
    found = difference(mean(shuffled, [by_id[name] for name in shuffled]), mean(IDS, base), "base", "less", 0)
    assert (found.against, found.verdict) == ("base", "better")
    assert -0.12 < (found.low or 0) < found.value < (found.high or 0) < -0.08
    assert estimate(mean(IDS, own), 0).low < base.mean() < estimate(mean(IDS, own), 0).high  # type: ignore[operator]
    assert difference(mean(IDS, own), mean(IDS, base), "base", "more", 0).verdict == "worse"
    assert difference(mean(IDS, own), mean(IDS, base), "base", "", 0).verdict == "differs"


def test_only_rows_that_both_have_are_compared() -> None:
    found = difference(mean(["a", "b", "c"], [1.0, 2.0, 9.0]), mean(["b", "a"], [1.5, 1.5]), "base", "less", 0)
    assert found.value == pytest.approx(0.0)


def test_shares_of_one_row_and_of_none_have_honest_intervals() -> None:
    assert estimate(mean(["a"], [1.0], scale=100.0, share=True), 0).low == pytest.approx(20.65, abs=0.01)  # 1 of 1
    both = [mean(["a", "b"], values, share=True) for values in ([1.0, 1.0], [0.0, 1.0])]
    assert difference(*both, "base", "more", 0).verdict == "unclear"


def test_a_handful_of_rows_has_no_interval_and_makes_nothing_clear() -> None:
    own, other = mean(list("abcd"), [1.0] * 4), mean(list("abcd"), [2.0] * 4)
    assert estimate(own, 0).low is None
    found = difference(own, other, "base", "less", 0)
    assert (found.value, found.low, found.verdict) == (-1.0, None, "unclear")


def test_numbers_that_are_all_zero_are_no_share_of_rows() -> None:
    found = estimate(mean(IDS, [0.0] * 60), 0)
    assert (found.low, found.high) == (0.0, 0.0)


def test_numbers_that_are_none_make_nothing_clear() -> None:
    found = difference(mean(IDS, [math.nan] * 60), mean(IDS, [1.0] * 59 + [2.0]), "base", "less", 0)
    assert found.verdict == "unclear"


def test_many_rows_are_drawn_fewer_times_and_within_memory() -> None:
    assert statistics.drawn(100, 0).shape == (statistics.RESAMPLES, 100)
    assert (statistics.drawn(100, 0).sum(1) == 100).all()
    assert 200 <= len(statistics.drawn(100_000, 0)) < statistics.RESAMPLES
