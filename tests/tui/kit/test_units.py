from __future__ import annotations

import math

import pytest

from tuitune.tui.kit.units import amount, binary, fixed, lasting, scientific, tick, whole_seconds


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (8.14, "8.1 s"),
        (12.4, "12 s"),
        (192, "3 m 12 s"),
        (3900, "1 h 05 m"),
        (97200, "1 d 03 h"),
        (math.inf, "?"),
    ],
)
def test_lasting(seconds: float, text: str) -> None:
    assert lasting(seconds) == text


def test_whole_seconds_have_no_tenths() -> None:
    assert whole_seconds(8.9) == "8 s"
    assert whole_seconds(61) == "1 m 01 s"


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (82_000_000, "78 MiB"), (1.5 * 2**30, "1.5 GiB"), (140 * 2**30, "140 GiB")]
)
def test_binary(count: float, text: str) -> None:
    assert binary(count) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5391, "0.539"),
        (0, "0.000"),
        (123.45, "123.45"),
        (23456.0, "2.3e4"),
        (1e-5, "1.0e-5"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
    ],
)
def test_fixed(value: float, text: str) -> None:
    assert fixed(value) == text


def test_scientific_and_amount() -> None:
    assert scientific(6.6e-5) == "6.6e-5"
    assert scientific(0) == "0"
    assert [amount(value) for value in (950, 12_000, 1.5e6, 250e6)] == ["950", "12k", "1.5M", "250M"]


def test_ticks_agree_on_their_decimals() -> None:
    assert [tick(value, 0.25) for value in (0.25, 0.5, 1.0)] == ["0.25", "0.50", "1.00"]
    assert [tick(value, 1) for value in (0, 1, 2)] == ["0.0", "1.0", "2.0"]
    assert [tick(value, 5000) for value in (0, 5000, 10000)] == ["0", "5000", "10k"]


def test_a_mark_of_four_decimals_is_rounded_into_five_cells() -> None:
    assert tick(0.0625, 0.0625) == "0.062"
    assert tick(0.03125, 0.03125) == "0.031"
