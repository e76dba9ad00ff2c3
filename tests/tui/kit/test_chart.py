from __future__ import annotations

import math

import pytest

from tests.tui.given import rows_text
from tuitune.tui.kit.axis import Scale, scale
from tuitune.tui.kit.blocks import Blocks
from tuitune.tui.kit.chart import Kind, Series, Window, chart, digits, ends
from tuitune.tui.kit.rows import Row, width_of


def plain(rows: int, low: float = 0.0, high: float = 1.0) -> Scale:
    return Scale(low, high, rows)


def series(values: list[float], kind: Kind = "line", role: str = "raw", xs: list[float] | None = None) -> Series:
    return Series(xs or [float(x) for x in range(len(values))], Blocks(values), role, kind)


def role_at(row: Row, column: int) -> str:
    return next(role for text, role in _cells(row) if (column := column - 1) < 0)


def _cells(row: Row) -> list[tuple[str, str]]:
    return [(sign, role) for text, role in row for sign in text]


def test_a_rising_line_touches_the_corners_and_every_column() -> None:
    rows = chart(Window(0, 3, 4), plain(4), [series([0.0, 1 / 3, 2 / 3, 1.0])])
    text = [line.ljust(4) for line in rows_text(rows)]
    assert text[3][0] != " "
    assert text[0][3] != " "
    assert text[0][0] == " "
    assert text[3][3] == " "
    assert all(any(text[row][column] != " " for row in range(4)) for column in range(4))


def test_rows_are_as_wide_as_the_window() -> None:
    rows = chart(Window(0, 9, 23), scale(0, 1, 7), [series([0.5] * 10, "bold")])
    assert [width_of(row) for row in rows] == [23] * 7


def test_nan_is_a_gap() -> None:
    values = [0.5, 0.5, math.nan, math.nan, 0.5, 0.5]
    line = rows_text(chart(Window(0, 5, 12), plain(3), [series(values)]))[1].ljust(12)
    assert line[0] != " "
    assert line[6] == " "
    assert line[11] != " "


@pytest.mark.parametrize("values", [[], [math.nan], [math.inf, -math.inf]])
def test_nothing_finite_draws_nothing(values: list[float]) -> None:
    assert rows_text(chart(Window(0, 1, 5), plain(3), [series(values)])) == ["", "", ""]


def test_a_single_point_is_seen() -> None:
    text = "".join(rows_text(chart(Window(0, 1, 5), plain(3), [series([0.5], xs=[1.0])])))
    assert text.strip()


def test_a_later_series_takes_a_shared_cell_whole() -> None:
    lines = [series([0.5, 0.5], role="raw"), series([0.5, 0.5], "bold", "smooth")]
    rows = chart(Window(0, 1, 4), plain(3), lines)
    assert {role for text, role in rows[1] if text.strip()} == {"smooth"}


def test_a_bold_line_is_two_dots_thick() -> None:
    thin = "".join(rows_text(chart(Window(0, 1, 2), plain(1, 0, 2), [series([1.0, 1.0])])))
    thick = "".join(rows_text(chart(Window(0, 1, 2), plain(1, 0, 2), [series([1.0, 1.0], "bold")])))
    assert [bin(ord(sign) - 0x2800).count("1") for sign in thin] == [2, 2]
    assert [bin(ord(sign) - 0x2800).count("1") for sign in thick] == [4, 4]


def test_marks_are_diamonds_in_their_cells() -> None:
    rows = chart(Window(0, 10, 11), plain(5), [series([0.0, 1.0], "marks", "eval", xs=[0.0, 10.0])])
    text = [line.ljust(11) for line in rows_text(rows)]
    assert text[4][0] == "◆"
    assert text[0][10] == "◆"
    assert "".join(text).count("◆") == 2


def test_grid_lines_stand_on_the_marks() -> None:
    axis = scale(0, 3.2, 20)
    text = rows_text(chart(Window(0, 1, 6), axis, []))
    assert {row for row, line in enumerate(text) if line == "┈" * 6} == {row for row, _ in axis.marks}


def test_many_points_show_their_extremes_and_their_mean() -> None:
    values = [0.5] * 20_000
    values[7_000], values[13_000] = 1.0, 0.0
    line = rows_text(chart(Window(0, 19_999, 40), plain(9), [series(values)]))
    bold = rows_text(chart(Window(0, 19_999, 40), plain(9), [series(values, "bold")]))
    assert line[0].strip()
    assert line[8].strip()
    assert not bold[0].strip()
    assert not bold[8].strip()


def test_a_window_shows_only_its_part() -> None:
    values = [1.0] * 50 + [0.0] * 50
    text = rows_text(chart(Window(60, 99, 20), plain(5), [series(values)]))
    assert not text[0].strip()
    assert len(text[4].strip()) == 20


def test_what_is_outside_the_scale_is_not_drawn() -> None:
    text = rows_text(chart(Window(0, 3, 4), plain(3), [series([1e9, 1e9, 0.5, -1e300])]))
    assert len(text) == 3
    assert text[1].strip()


def test_a_logarithmic_axis_has_no_place_for_zero() -> None:
    rows = chart(Window(0, 2, 6), scale(0.1, 10, 9, log=True), [series([0.0, -1.0, 1.0])])
    marks = sum(sign not in " ┈" for line in rows_text(rows) for sign in line)
    assert marks == 1


def test_the_cursor_is_an_upright_line_behind_the_curves() -> None:
    rows = chart(Window(0, 10, 11), plain(3), [series([0.5] * 11)], cursor=5.0)
    text = [line.ljust(11) for line in rows_text(rows)]
    assert text[0][5] == text[2][5] == "│"
    assert text[1][5] != "│"


def test_end_labels_never_share_a_row() -> None:
    place = ends([(0.5, "eval", "eval"), (0.5, "smooth", "smooth"), (0.49, "raw", "loss")], plain(10), 17)
    assert len(place) == 3
    assert [rows_text([place[row]])[0].split()[1] for row in sorted(place)] == ["eval", "smooth", "loss"]


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_end_labels_stay_inside(value: float) -> None:
    place = ends([(value, "eval", "a"), (value, "smooth", "b"), (value, "raw", "c")], plain(4), 17)
    assert len(place) == 3
    assert set(place) <= set(range(4))


def test_a_value_that_is_no_number_is_said_in_the_colour_of_errors() -> None:
    place = ends([(math.nan, "smooth", "smooth"), (0.5, "raw", "loss")], plain(8), 17)
    row = next(row for row in place.values() if "nan" in row[0][0])
    assert row[0] == (" nan  ", "error b")


def test_large_digits() -> None:
    assert digits(0.5, 16) == ["┏━┓ ┏━╸┏━┓┏━┓", "┃ ┃ ┗━┓┃ ┃┃ ┃", "┗━┛▪╺━┛┗━┛┗━┛"]
    assert len((digits(12.3456, 14) or [""])[0]) <= 14
    assert digits(math.nan, 16) is None
    assert digits(1e9, 16) is None
    assert digits(1e-9, 16) is None
    assert digits(-0.25, 16) is not None
