"""A page: parts below or beside each other, and the way from tokens to cells and back."""

from __future__ import annotations

import pytest

from tests.data.looking import asked, examples, look, turn
from tuitune.data.look import View
from tuitune.tui.panes.data_drawn import Look, drawn, role_of
from tuitune.tui.panes.data_page import At, Page


def pair() -> View:
    return look(examples([asked("Who are you?", "Ada."), asked("Who are you?", "None.")], 2), kind="pair").train.view(0)


def text(page: Page, *, ids: bool = False) -> list[str]:
    rows, number = [], 0
    while (cells := page.row(number)) is not None:
        rows.append("".join(part for part, _ in drawn(cells, Look(At(9, 0), ids=ids))).rstrip())
        number += 1
    return rows


def test_answers_stand_beside_each_other_or_below() -> None:
    beside = text(Page(pair(), 80, gaps=False))
    row = next(line for line in beside if line.startswith("chosen"))
    assert row.split("  ")[0].startswith("chosen, ")
    assert "rejected, " in row
    answers = beside[beside.index(row) + 2]
    assert answers.startswith("Ada.<|im_end|>↵")
    assert answers[41:].startswith("None.<|im_end|>↵")
    below = text(Page(pair(), 80, gaps=False, beside=False))
    assert [line.split(",")[0] for line in below if " tokens" in line] == ["prompt", "chosen", "rejected"]
    assert "assistant   Ada.<|im_end|>↵" in below


def test_the_role_stands_in_the_margin_or_above() -> None:
    view = look(examples([asked("Who?", "Me.")])).train.view(0)
    assert text(Page(view, 80))[0] == "user        <|im_start|>user↵Who?<|im_end|>↵"
    assert text(Page(view, 30))[:2] == ["user", "<|im_start|>user↵Who?"]


@pytest.mark.parametrize("width", [30, 80])
@pytest.mark.parametrize("ids", [False, True])
def test_from_every_token_to_its_cell_and_back(width: int, ids: bool) -> None:
    page = Page(pair(), width, ids=ids)
    at, seen = page.first, []
    while True:
        seen.append(at)
        row = page.find(at)
        assert page.under(page.x_of(at, row), row) == at
        after = page.step(at, 1)
        if after == at:
            break
        assert page.step(after, -1) == at
        at = after
    assert at == page.last
    assert len(seen) == sum(block.stop - block.start for block in page.view.blocks)


def test_ids_stand_below_their_tokens() -> None:
    view = look(examples([[("river", True)]])).train.view(0)
    one = view.strands[0].tokens()
    texts, ids = text(Page(view, 80, ids=True), ids=True)
    for token in one:
        assert ids[texts.index(token.text) :].startswith(str(token.id))


def test_no_tokens_at_all() -> None:
    page = Page(look(examples([[]])).train.view(0), 40)
    assert page.row(0) is None
    assert page.token(page.first) is None
    assert page.step(page.first, 1) == page.first


def test_what_is_trained_is_told_by_more_than_its_colour() -> None:
    view = look(examples([[*turn("user", "Hi"), ("so it is", True), ("<|im_end|>", True)]])).train.view(0)
    tokens = view.strands[0].tokens()
    elsewhere = At(5, 0)
    for token in tokens:
        here = At(0, token.position)
        rich, few = (role_of(here, token, Look(elsewhere, few=each)).split() for each in (False, True))
        assert ("b" in rich) == token.trained
        assert ("u" in few) == token.trained
        assert ("tint" in rich) == (token.position % 2 == 1)
        assert "tint" not in few
        assert role_of(here, token, Look(here)) == "strong b on sel"
