from __future__ import annotations

import math
from array import array
from itertools import pairwise

import pytest

from tuitune.tui.kit.blocks import Blocks


def test_a_stretch_is_what_its_numbers_come_to() -> None:
    values = array("d", [(index * 37) % 101 for index in range(1000)])
    blocks = Blocks(values)
    for start, stop in ((0, 1000), (3, 5), (63, 65), (64, 128), (100, 901), (7, 7)):
        found, part = blocks.stretch(start, stop), values[start:stop]
        assert found.finite == len(part)
        if len(part):
            assert (found.low, found.high) == (min(part), max(part))
            assert found.mean == pytest.approx(sum(part) / len(part))


def test_what_is_no_number_is_counted_and_left_out() -> None:
    values = [1.0] * 100 + [math.nan, math.inf] + [3.0] * 100
    found = Blocks(values).stretch(0, 202)
    assert (found.low, found.high, found.gaps) == (1.0, 3.0, 2)
    assert found.mean == pytest.approx(2.0)
    assert math.isnan(Blocks(values).stretch(100, 102).mean)


def test_a_column_may_grow() -> None:
    values = array("d", [1.0] * 100)
    blocks = Blocks(values)
    assert blocks.stretch(0, 100).high == 1.0
    values.extend([2.0] * 100)
    assert blocks.stretch(0, 200).mean == pytest.approx(1.5)


def test_bins_of_long_columns_lose_nothing() -> None:
    values = array("d", range(100_000))
    bins = Blocks(values).bins([index * 1000 for index in range(101)])
    assert sum(each.finite for each in bins) == 100_000
    assert bins[0].low == 0
    assert bins[-1].high == 99_999
    assert all(before.high < after.low for before, after in pairwise(bins))
