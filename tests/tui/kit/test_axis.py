from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuitune.tui.kit.axis import foot, scale

RANGES = st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)).map(lambda pair: (min(pair), max(pair)))


def labels(low: float, high: float, rows: int = 20, *, log: bool = False) -> list[str]:
    return [label for _, label in scale(low, high, rows, log=log).marks]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.4, 3.2, ["0.0", "1.0", "2.0", "3.0"]),
        (9.8, 10.2, ["9.8", "10.0", "10.2"]),
        (-3.0, 4.0, ["-4.0", "-2.0", "0.0", "2.0", "4.0"]),
        (2e5, 7e6, ["0", "2M", "4M", "6M"]),
        (0.001, 0.004, ["0.000", "0.002", "0.004"]),
    ],
)
def test_linear_marks_are_round(low: float, high: float, expected: list[str]) -> None:
    assert labels(low, high) == expected


def test_logarithmic_marks_are_powers() -> None:
    assert labels(0.3, 3.1, log=True) == ["0.25", "0.5", "1.0", "2.0"]
    assert labels(0.01, 1000, log=True) == ["0.01", "1.0", "100"]


def test_a_narrow_logarithmic_range_has_round_marks_too() -> None:
    assert labels(0.5, 0.7, log=True) == ["0.50", "0.55", "0.60", "0.65", "0.70"]


@pytest.mark.parametrize("value", [0.0, 2.0, -5.0, 1e9, 1e-9])
def test_a_value_that_never_changes_has_an_axis(value: float) -> None:
    axis = scale(value, value, 12)
    assert 0 <= axis.at(value) <= 11
    assert len(axis.marks) >= 2


@given(RANGES, st.integers(2, 60))
def test_a_linear_axis_covers_its_range_with_marks_on_whole_rows(pair: tuple[float, float], rows: int) -> None:
    axis = scale(*pair, rows)
    assert axis.at(pair[1]) >= -1e-6
    assert axis.at(pair[0]) <= axis.rows - 1 + 1e-6
    assert axis.marks
    assert all(0 <= row < axis.rows for row, _ in axis.marks)
    assert all(len(label) <= 9 for _, label in axis.marks)


@given(st.floats(1e-12, 1e12), st.floats(1, 1e9), st.integers(2, 60))
def test_a_logarithmic_axis_covers_its_range(low: float, times: float, rows: int) -> None:
    axis = scale(low, low * times, rows, log=True)
    assert axis.at(low * times) >= -1e-6
    assert axis.at(low) <= axis.rows - 1 + 1e-6
    assert all(0 <= row < axis.rows for row, _ in axis.marks)
    assert math.isnan(axis.at(0.0))


@pytest.mark.parametrize(
    ("kind", "low", "high", "expected"),
    [
        ("steps", 0, 412, ["0", "100", "200", "300", "400"]),
        ("steps", 0, 3, ["0", "1", "2", "3"]),
        ("steps", 340, 360, ["340", "345", "350", "355", "360"]),
        ("time", 0, 50, ["0:00", "0:10", "0:20", "0:30", "0:40", "0:50"]),
        ("time", 0, 5000, ["0:00", "15:00", "30:00", "45:00", "1:00:00", "1:15:00"]),
        ("time", 0, 400_000, ["0 d", "1 d", "2 d", "3 d", "4 d"]),
        ("tokens", 0, 3e6, ["0", "500k", "1M", "1.5M", "2M", "2.5M", "3M"]),
        ("steps", 5, 5, ["5"]),
    ],
)
def test_the_foot_has_round_labels(kind: str, low: float, high: float, expected: list[str]) -> None:
    line = foot(low, high, 60, kind)
    assert [part.replace("_", " ") for part in line.replace(" d", "_d").split()] == expected
    assert len(line) == 64


def test_labels_of_the_foot_stand_at_their_columns() -> None:
    line = foot(0, 400, 41)
    assert line.index("200") == 20
    assert line.index("400") == 40
