"""The picture in ASCII has the same cells, and the locale decides who gets it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tuitune.tui.kit.glyphs import ascii_text, wants_ascii

KIT = "▁▂▃▄▅▆▇━─┈▌▍█░◆●•▪■✓✗▲▾…⌕↓↑→×›◂╭╮╰╯│┏┓┗┛┣┫╺╸╻╹┃°·↵"


@given(st.text())
def test_any_text_becomes_ascii_of_the_same_width(text: str) -> None:
    plain = ascii_text(text)
    assert plain.isascii()
    assert cell_len(plain) == cell_len(text)


def test_every_glyph_of_the_kit_has_a_likeness() -> None:
    for glyph in KIT:
        assert ascii_text(glyph) not in ("_", "?", ""), glyph


def test_letters_keep_their_base_and_wide_ones_their_width() -> None:
    assert ascii_text("naïve café") == "naive cafe"
    assert ascii_text("中文 x") == "____ x"


def test_a_bar_of_a_sparkline_is_told_from_its_neighbours() -> None:
    assert len(set(ascii_text("▁▂▃▄▅▆▇"))) == 7


def test_a_curve_keeps_its_height_within_a_row() -> None:
    assert ascii_text("\u2809\u2824\u2847\u28ff\u2800") == "'.:# "


@pytest.mark.parametrize(
    ("setting", "environ", "encoding", "wanted"),
    [
        ("auto", {"LANG": "en_US.UTF-8"}, "utf-8", False),
        ("auto", {"LANG": "de_DE.utf8"}, "utf-8", False),
        ("auto", {"LANG": "C"}, "utf-8", True),
        ("auto", {"LANG": "C", "LC_CTYPE": "C.UTF-8"}, "utf-8", True),
        ("auto", {"LC_ALL": "POSIX", "LANG": "en_US.UTF-8"}, "utf-8", True),
        ("auto", {"LC_CTYPE": "en_US.UTF-8", "LANG": "C"}, "utf-8", False),
        ("auto", {"LANG": "en_US.ISO-8859-1"}, "iso8859-1", True),
        ("auto", {"LANG": "en_US.UTF-8"}, "ascii", True),
        ("auto", {}, "utf-8", False),
        ("auto", {}, None, False),
        ("auto", {"TERM": "linux", "LANG": "en_US.UTF-8"}, "utf-8", True),
        ("ascii", {"LANG": "en_US.UTF-8"}, "utf-8", True),
        ("unicode", {"LANG": "C"}, "ascii", False),
    ],
)
def test_who_gets_it(setting: str, environ: dict[str, str], encoding: str | None, wanted: bool) -> None:
    assert wants_ascii(setting, environ, encoding) is wanted
