"""Tokens in lines: all of them once, in order, none wider than the line, and no more laid out than is looked at."""

from __future__ import annotations

import pytest
from rich.cells import cell_len

from tests.data.looking import asked, examples, look, turn
from tuitune.data.look import Strand
from tuitune.tui.kit.flow import Flow, Line, dotted


def strand(parts: list[tuple[str, bool]]) -> Strand:
    return look(examples([parts])).train.view(0).strands[0]


def lines(flow: Flow) -> list[Line]:
    return [line for n in range(flow.count()) if (line := flow.line(n)) is not None]


def texts(flow: Flow) -> list[str]:
    return ["".join(bit.text for bit in line.bits) for line in lines(flow)]


TALK = asked("Who are you, and why?\nTell me.", "I am Ada.\n\nA model of 日本語 text " + "very " * 40 + "long.")


@pytest.mark.parametrize("width", [4, 9, 30, 200])
@pytest.mark.parametrize("ids", [False, True])
def test_every_token_is_there_once_and_fits(width: int, ids: bool) -> None:
    one = strand(TALK)
    flow = Flow(one, 0, len(one), width, ids=ids)
    bits = [bit for line in lines(flow) for bit in line.bits]
    positions = [bit.token.position for bit in bits]
    assert list(dict.fromkeys(positions)) == list(range(len(one)))
    assert positions == sorted(positions)
    shown = "".join(bit.text for bit in bits).replace("·", " ")
    assert shown == "".join(token.text for token in one.tokens())
    if not ids:
        assert all(sum(cell_len(bit.text) for bit in line.bits) <= width for line in lines(flow))
        assert all(bit.width == cell_len(bit.text) for bit in bits)


def test_turns_begin_lines_and_name_their_role_once() -> None:
    one = strand([*turn("system", "Be kind."), *asked("Who?", "Me.\nAnd you.")])
    flow = Flow(one, 0, len(one), 80)
    assert [(line.role, bool(line.bits)) for line in lines(flow)] == [
        ("system", True), ("", False), ("user", True), ("", False), ("assistant", True), ("", True)
    ]  # fmt: skip
    # The line end after the name of the role breaks no line; that of the text does.
    assert texts(flow)[-2:] == ["<|im_start|>assistant↵Me.↵", "And·you.<|im_end|>↵"]
    assert texts(Flow(one, 0, len(one), 80, gaps=False))[1].startswith("<|im_start|>user")


def test_the_part_of_a_sequence_names_whose_turn_it_is() -> None:
    one = strand(asked("Who?", "Me."))
    start = int(one.labelled.argmax())
    flow = Flow(one, start, len(one), 80)
    first = flow.line(0)
    assert first is not None
    assert first.role == "assistant"
    assert texts(flow) == ["Me.<|im_end|>↵"]


def test_text_instead_of_tokens_has_no_marks() -> None:
    one = strand(asked("Who?", "One  two\tthree.\nFour."))
    shown = texts(Flow(one, 0, len(one), 80, prose=True))
    assert [text.rstrip() for text in shown if text] == [
        "<|im_start|>user Who?<|im_end|>", "<|im_start|>assistant One  two three.", "Four.<|im_end|>"
    ]  # fmt: skip


@pytest.mark.parametrize("width", [5, 12, 40])
def test_the_line_of_a_token_is_where_it_begins(width: int) -> None:
    one = strand(TALK)
    flow = Flow(one, 0, len(one), width)
    where: dict[int, int] = {}
    for n, line in enumerate(lines(Flow(one, 0, len(one), width))):
        for bit in line.bits:
            where.setdefault(bit.token.position, n)
    assert {position: flow.line_of(position) for position in reversed(range(len(one)))} == where


def test_a_long_row_is_laid_out_only_as_far_as_it_is_seen() -> None:
    one = strand([("<|im_start|>user\n", False), ("river " * 20_000, False)])
    asked_for: list[int] = []
    whole = one.tokens

    def tokens(start: int = 0, stop: int | None = None) -> list:
        asked_for.append(start)
        return whole(start, stop)

    one.tokens = tokens  # type: ignore[method-assign]
    flow = Flow(one, 0, len(one), 60)
    assert flow.line(5) is not None
    assert len(asked_for) == 1
    assert flow.line_of(len(one) - 1) > 100
    assert len(asked_for) > 20


def test_blanks_are_seen_but_for_one_before_a_word() -> None:
    assert [dotted(text) for text in (" are", "  two", " ", "a b ", "↵")] == [" are", "··two", "·", "a·b·", "↵"]


@pytest.mark.parametrize("width", [12, 20, 33])
def test_text_breaks_between_words(width: int) -> None:
    said = "A kind assistant answers extraordinarily and unbelievably precisely what was asked of it"
    one = strand(asked("?", said))
    start = int(one.labelled.argmax())
    flow = Flow(one, start, start + int(one.labelled.sum()) - 1, width, prose=True)
    shown = texts(flow)
    assert all(len(text) <= width for text in shown)
    assert all(bit.width == cell_len(bit.text) for line in lines(flow) for bit in line.bits)
    # A token that is nothing but a blank must be seen; any other line begins with its word.
    assert all(line.bits[0].text == " " or not line.bits[0].text.startswith(" ") for line in lines(flow))
    whole = [word for word in said.split() if len(word) <= width // 2]
    assert [word for text in shown for word in text.split() if word in whole] == whole
    positions = [bit.token.position for line in lines(flow) for bit in line.bits]
    assert positions == list(range(start, start + int(one.labelled.sum()) - 1))
