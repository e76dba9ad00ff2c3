"""Bytes in words: the unit that fits, also where rounding would leave a thousand of the smaller one."""

from __future__ import annotations

import pytest

from tuitune.amounts import size


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_960, "1.0 MB"),
        (8_000_000, "8.0 MB"),
        (1_440_000_000, "1.4 GB"),
        (2_500_000_000_000, "2.5 TB"),
        (4e15, "4000.0 TB"),
    ],
)
def test_the_unit_fits(value: float, words: str) -> None:
    assert size(value) == words
