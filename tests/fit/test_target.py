from __future__ import annotations

import pytest

from tuitune.fit.target import Card, Target, choose_target

_GIB = 1 << 30
_CARDS = (Card(0, 80 * _GIB, 10 * _GIB, "GPU-aaaa-1"), Card(1, 80 * _GIB, 70 * _GIB, "GPU-bbbb-2"))


def _go(device: str, cards: tuple[Card, ...] = _CARDS, visible: str = "", cuda: bool = True) -> Target:
    return choose_target(device, ram_free=5 * _GIB, ram_total=8 * _GIB, cards=cards, visible=visible, cuda=cuda)


def test_auto_takes_the_card_with_most_free_memory() -> None:
    found = _go("auto")
    assert (found.kind, found.index, found.free, found.where) == ("cuda", 1, 70 * _GIB, "GPU 1")


@pytest.mark.parametrize("found", [_go("cpu"), _go("auto", cards=()), _go("auto", cuda=False)])
def test_main_memory(found: Target) -> None:
    assert (found.kind, found.index, found.free, found.total, found.where) == ("cpu", None, 5 * _GIB, 8 * _GIB, "RAM")


def test_a_numbered_card_counts_among_those_that_are_shown() -> None:
    assert _go("cuda:0").index == 0
    assert _go("cuda:0", visible="1").index == 1
    assert _go("cuda:0", visible="GPU-bbbb").index == 1
    assert _go("auto", visible="0,1").index == 0


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (_go("cuda:1", visible="1"), "there are 1 GPU"),
        (_go("cuda:0", cards=()), "no GPU"),
        (_go("cuda:0", cuda=False), "without CUDA"),
    ],
)
def test_what_cannot_be_used_says_why_and_gives_no_number(found: Target, words: str) -> None:
    assert words in found.problem
    assert found.free is None
