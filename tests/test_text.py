from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tuitune.text import StreamCleaner, clean, clean_line

FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")

# Text made of what sequences are made of finds the borders between them far sooner than text at random.
introducers = ["\x1b", "\x1b]", "\x1b[", "\x1bP", "\x1b_", "\x1b\\", "\x07", "\x9c", "\x9b", "\x9d", "\r", "\n", "\r\n"]
payloads = [
    "52;c;ZXZpbA==",
    "0;t",
    "38;5;1",
    "m",
    "H",
    "(",
    "B",
    "c",
    "é",
    "日本",
    "\u202e",
    " ",
    "\ud800",
    "2J",
    "\t",
    "\\",
]
shards = st.sampled_from(introducers) | st.sampled_from(payloads)
hostile = st.lists(shards | st.text(max_size=3), max_size=30).map("".join)


@given(hostile)
def test_nothing_that_a_terminal_obeys_gets_through(text: str) -> None:
    assert not FORBIDDEN.search(clean(text))


def test_every_control_goes_and_only_those() -> None:
    every = "".join(map(chr, range(0x3000)))
    controls = set(FORBIDDEN.findall(every)) | set(map(chr, range(0x206A, 0x2070)))
    for letter in set(every) - {"\x1b", "\r"}:
        assert clean(f"a{letter}b") == ("ab" if letter in controls else f"a{letter}b")


@given(hostile)
def test_clean_text_stays_as_it_is(text: str) -> None:
    once = clean(text)
    assert clean(once) == once


@given(st.lists(hostile, max_size=8))
@example(["a\x1b]0;t\x1b", "\\b"])
@example(["a\r", "\nb"])
@example(["a\x1b[", "31", "mb"])
@example(["\x1b]", "52;c;", "x\x1b", "[2Jb"])
def test_a_stream_adds_up_to_the_whole(pieces: list[str]) -> None:
    cleaner = StreamCleaner()
    shown = [cleaner.feed(piece) for piece in pieces]
    assert not any(FORBIDDEN.search(piece) for piece in shown)
    assert "".join(shown) + cleaner.flush() == clean("".join(pieces))


@pytest.mark.parametrize("length", [63, 64, 65, 4095, 4096, 4097, 9000])
@pytest.mark.parametrize(("start", "end"), [("\x1b[", "m"), ("\x1b]52;c;", "\x07"), ("\x1bP", "\x1b\\")])
def test_a_long_sequence_is_the_same_in_a_stream(start: str, end: str, length: int) -> None:
    text = f"before{start}{'0' * length}{end}after"
    cleaner = StreamCleaner()
    assert "".join(cleaner.feed(letter) for letter in text) + cleaner.flush() == clean(text)


@pytest.mark.parametrize(
    ("foreign", "shown"),
    [
        ("a\x1b]52;c;ZXZpbA==\x07b", "ab"),
        ("a\x1b]52;c;ZXZpbA==\x1b\\b", "ab"),
        ("a\x1b]0;title\x9cb", "ab"),
        ("a\x1bPq#0;2;0;0;0\x1b\\b", "ab"),
        ("a\x1b[2J\x1b[1;31mb\x1b[0m", "ab"),
        ("a\x1bcb\x1b(Bc", "abc"),
        ("safe\u202eevil", "safeevil"),
        ("one\r\ntwo\rthree\tfour", "one\ntwo\nthree\tfour"),
        ("bad \udcff name", "bad � name"),
    ],
)
def test_known_attacks(foreign: str, shown: str) -> None:
    assert clean(foreign) == shown


def test_an_introducer_without_an_end_hides_no_text() -> None:
    assert clean("one \x1b]two\nthree") == "one two\nthree"
    assert clean("He said â\x80\x9dhelloâ\x80\x9d and left") == "He said âhelloâ and left"


def test_a_stream_holds_back_only_what_is_unfinished() -> None:
    cleaner = StreamCleaner()
    assert cleaner.feed("word \x1b[3") == "word "
    assert cleaner.feed("1mred") == "red"
    assert cleaner.feed("\x1b]never ended") == ""
    assert cleaner.feed("\nnext") == "never ended\nnext"


def test_a_line_is_one_line() -> None:
    assert clean_line(" my\nmodel\t\x1b[31mname ") == "my model name"
