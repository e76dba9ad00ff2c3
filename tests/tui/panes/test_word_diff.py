"""What differs between two texts, word by word."""

from __future__ import annotations

import random

import pytest

from tuitune.tui.panes.word_diff import MOST, Part, alike, differences, pieces


@pytest.mark.parametrize(
    ("first", "second", "parts"),
    [
        ("", "", []),
        ("one two", "one two", [("same", "one two")]),
        ("I am Nova.", "I am Ava.", [("same", "I am "), ("gone", "Nova"), ("new", "Ava"), ("same", ".")]),
        ("a b c", "a c", [("same", "a "), ("gone", "b "), ("same", "c")]),
        ("a c", "a b c", [("same", "a "), ("new", "b "), ("same", "c")]),
        # A phrase is one change, whatever signs and blanks its words share.
        (
            "by Iris Labs, here", "by the team, here",
            [("same", "by "), ("gone", "Iris Labs"), ("new", "the team"), ("same", ", here")],
        ),
        # Scripts without blanks are compared by the character.
        (
            "我是诺瓦，好", "我是小爱，好",
            [("same", "我是"), ("gone", "诺瓦"), ("new", "小爱"), ("same", "，好")],
        ),
    ],
)  # fmt: skip
def test_words(first: str, second: str, parts: list[tuple[str, str]]) -> None:
    assert differences(first, second) == [Part(*each) for each in parts]  # type: ignore[arg-type]


def test_both_texts_can_be_read_off() -> None:
    draw = random.Random(0)
    pool = ["a", "b", " ", "\n", "語", "!", "c d", "\t", "é", "👩‍💻", ", "]
    for _ in range(2000):
        first, second = ("".join(draw.choice(pool) for _ in range(draw.randint(0, 14))) for _ in range(2))
        found = differences(first, second)
        assert found is not None
        assert "".join(part.text for part in found if part.kind != "new") == first
        assert "".join(part.text for part in found if part.kind != "gone") == second
        assert "".join(pieces(first)) == first


def test_long_texts_are_not_compared() -> None:
    assert differences("word " * MOST, "word") is None
    assert differences("w " * (MOST // 2), "w " * (MOST // 2)) == [Part("same", "w " * (MOST // 2))]


def test_how_much_two_texts_share() -> None:
    def share(first: str, second: str) -> float:
        found = differences(first, second)
        assert found is not None
        return alike(found)

    assert share("abc", "abc") == 1.0
    assert share("abc", "xyz") == 0.0
    assert share("one two", "one six") == pytest.approx(0.5)
    assert share("", "") == 1.0
