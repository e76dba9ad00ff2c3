"""The text as the area holds it: every character back, none that acts; and the colours of a line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cli.given import EVIL
from tuitune.text import clean
from tuitune.tui.areatext import difference, held, line_ending, location, visible, written
from tuitune.tui.highlight import parts, spans

ANY = st.text(st.characters(max_codepoint=0x10EFFF, exclude_categories=()) | st.sampled_from("\n\r\t\x1b\x85\u2028 ab"))


@given(ANY)
def test_every_text_comes_back_as_it_was(text: str) -> None:
    there = held(text)
    assert written(there, line_ending(text)) == text
    assert there.split("\n") == there.splitlines() + [""] * (there.endswith("\n") or not there)


@given(ANY)
def test_nothing_that_acts_is_shown(text: str) -> None:
    for line in held(text + EVIL).split("\n"):
        assert clean(visible(line)) == visible(line)


@given(ANY, ANY, ANY)
def test_the_difference_makes_the_new_text(head: str, old: str, new: str) -> None:
    start, end, instead = difference(head + old, head + new)
    assert (head + old)[:start] + instead + (head + old)[end:] == head + new
    assert start >= len(head)


def test_a_place_in_rows_and_columns() -> None:
    assert [location("ab\n\nc", index) for index in (0, 2, 3, 4, 5)] == [(0, 0), (0, 2), (1, 0), (2, 0), (2, 1)]


@pytest.mark.parametrize(
    ("line", "key", "value", "comment"),
    [
        ("lora_rank: 8  # size", "lora_rank", "8", "# size"),
        ("name: it's # here", "name", "it's", "# here"),
        ("name: a#b", "name", "a#b", ""),
        ("name: 'a # b' # c", "name", "'a # b'", "# c"),
        ('"lora_rank": 8,', '"lora_rank"', "8,", ""),
        ("model: a:b/c", "model", "a:b/c", ""),
        ("# key: value", "", "", "# key: value"),
        ("key:", "key", "", ""),
        ("key: # nothing", "key", "", "# nothing"),
        ("- q_proj", "", "- q_proj", ""),
        ("", "", "", ""),
    ],
)
def test_the_parts_of_a_line(line: str, key: str, value: str, comment: str) -> None:
    found = parts(line)
    assert [line[slice(*span)] for span in (found.key, found.value, found.comment)] == [key, value, comment]


@given(st.text(max_size=60))
def test_the_colours_of_any_line_do_not_overlap(line: str) -> None:
    at = 0
    for start, end, _role in spans(line):
        assert at <= start < end <= len(line)
        at = end
