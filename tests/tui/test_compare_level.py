"""The columns of the Compare screen stand level: the same question in the same row, at every size, scrolled or not."""

from __future__ import annotations

import itertools

import pytest

from tests.tui.panes.chatting import Speaker
from tests.tui.test_app import MIDDLE, go, home, until  # noqa: F401
from tests.tui.test_compare import Given, ask, comparing
from tuitune.chat.base import Turn
from tuitune.errors import ModelError
from tuitune.tui.kit.pane import Title
from tuitune.tui.panes.blocks import Block
from tuitune.tui.panes.level import Level, padded, paired
from tuitune.tui.screens.compare import CompareScreen

LONG = "  \n".join(f"line {n}" for n in range(60))


def shown(screen: CompareScreen) -> list[list[str]]:
    """Return the rows of both columns, without what stands in the margin."""
    for column in screen.columns:
        column.transcript._build(*column.transcript.content_size)
    return [
        ["".join(text for text, _ in row).rstrip() for row in column.transcript._shown] for column in screen.columns
    ]


def rows_of(screen: CompareScreen, text: str) -> list[int]:
    """Return where a text stands left and right; -1 where it does not show."""
    return [next((y for y, row in enumerate(rows) if text in row), -1) for rows in shown(screen)]


def titles_of(screen: CompareScreen) -> list[str]:
    """Return the beginnings of the titles that show, without plain lines."""
    shown = [title for column in screen.columns if column.display for title in column.query(Title)]
    begun = [title.render_line(0).text[:2] for title in shown]
    return [each for each in begun if each != "──"]


def level(screen: CompareScreen, *texts: str) -> None:
    for text in texts:
        left, right = rows_of(screen, text)
        assert left == right >= 0, (text, left, right)


def test_what_belongs_together_is_found_by_what_was_asked() -> None:
    def asked(*texts: str) -> list[Block]:
        return [block for text in texts for block in (Block("you", text, "you"), Block("x", f"to {text}"))]

    left, right = asked("a", "c"), asked("a", "b", "c")
    assert list(paired(left, right, 4, 6)) == [(0, 0), (1, 1), (2, 4), (3, 5)]
    assert list(paired(left, asked("a", "other"), 4, 4)) == [(0, 0), (1, 1), (2, 2), (3, 3)]  # in place of one another
    unanswered = [*asked("a"), Block("you", "b", "you")]
    assert list(paired(unanswered, asked("a", "b"), 3, 4)) == [(0, 0), (1, 1), (2, 2)]
    assert list(paired(unanswered, asked("a", "b"), 4, 4))[-1] == (3, 3)  # an answer on its way
    assert padded([1, 1, 1, 1], [1, 5, 1, 1], [(0, 0), (1, 1), (2, 2), (3, 3)], 1) == ([0, 0, 4, 0], [0, 0, 0, 0])


@pytest.mark.parametrize("words", [["a", "b", "a"], ["a", "a", "b", "a"]])
def test_both_sides_find_the_same_pairs_where_a_question_was_put_twice(words: list[str]) -> None:
    left, right = Level(), Level(left=False)
    left.blocks = [Block("you", word, "you") for word in words]
    right.blocks = [Block("you", word, "you") for word in (*words[1:], *words[:2])]
    mine = left._pairs(right, len(left.blocks), len(right.blocks))
    assert [(b, a) for a, b in right._pairs(left, len(right.blocks), len(left.blocks))] == mine != []


def test_a_question_stands_in_the_same_row_left_and_right_at_every_size() -> None:
    async def work() -> None:
        sides = Given([Speaker("short"), Speaker("<think>" + "so " * 90 + "</think>fine"), Speaker("last")],
                      [Speaker("one  \ntwo  \nthree " * 3), Speaker("ok"), Speaker("end")])  # fmt: skip
        async with comparing(sides, (140, 50)) as (pilot, screen):
            for text in ("first?", "second?", "third?"):
                await ask(pilot, screen, text)
            level(screen, "first?", "second?", "third?")
            before = rows_of(screen, "third?")
            await pilot.press("escape", "T")  # thoughts of the left only
            assert rows_of(screen, "third?") > before
            level(screen, "first?", "second?", "third?")
            await pilot.press("K", "K")
            level(screen, "first?", "second?", "third?")
            texts = ("first?", "second?", "third?")
            for width in (101, 160, 90, 120):
                await pilot.resize_terminal(width, 50)
                one = width < 100
                await until(pilot, lambda width=width, one=one: screen.size.width == width and screen.narrow == one
                            and (screen.columns[0].transcript._beside is None) == one)  # type: ignore[misc]  # fmt: skip
                await pilot.pause()
                if one:  # nothing beside it, so no blank rows but those between turns
                    rows = shown(screen)[0]
                    assert not any(a == b == "" for a, b in itertools.pairwise(rows))
                else:
                    level(screen, *texts)

    go(work)


def test_the_titles_are_those_of_the_size() -> None:
    async def work() -> None:
        async with comparing(Given([], []), (140, 40)) as (pilot, screen):
            for width, titles in ((80, []), (140, ["1 ", "2 "]), (90, []), (160, ["1 ", "2 "])):
                await pilot.resize_terminal(width, 40)
                await until(pilot, lambda width=width: screen.size.width == width)  # type: ignore[misc]
                await until(pilot, lambda titles=titles: titles_of(screen) == titles)  # type: ignore[misc]

    go(work)


def test_both_scroll_together_by_keys_and_by_choice() -> None:
    async def work() -> None:
        sides = Given([Speaker(LONG), Speaker("b")], [Speaker("a"), Speaker(LONG)])
        async with comparing(sides) as (pilot, screen):
            await ask(pilot, screen, "first?")
            await ask(pilot, screen, "second?")
            await pilot.press("escape", "home")
            level(screen, "first?")
            assert "more ↓" in shown(screen)[0][-1]
            await pilot.press("end")
            assert rows_of(screen, "line 59")[1] >= 0
            await pilot.press("2", "K", "K", "K", "K")  # the first question, chosen right
            level(screen, "first?")
            left = screen.columns[0].transcript
            left.action_scroll(-7)
            tops = shown(screen)
            assert [len(each) for each in tops] == [left.content_size.height] * 2
            assert screen.columns[1].transcript.place is left.place
            await pilot.press("1", "end", "k")
            assert [rows[0] for rows in shown(screen)] != [rows[0] for rows in tops]

    go(work)


def test_who_writes_is_in_sight_beside_a_long_answer() -> None:
    async def work() -> None:
        right = Speaker("right begins", "  \nright goes on", held=True)
        async with comparing(Given([Speaker(LONG)], [right])) as (pilot, screen):
            screen.prompt.fill("Who?")
            await pilot.press("enter")
            await until(pilot, lambda: not screen.columns[0].busy)
            right.go.release(1)
            await until(pilot, lambda: rows_of(screen, "right begins")[1] >= 0)
            level(screen, "Who?")
            assert rows_of(screen, "line 0")[0] == rows_of(screen, "right begins")[1]
            assert rows_of(screen, "Who?") == [0, 0]  # as much of the left as fits
            right.go.release(5)
            await until(pilot, lambda: not screen.busy)
            level(screen, "Who?")  # both can be read from their question on, and end leads further down
            assert "end follows" in shown(screen)[0][-1]
            await pilot.press("escape", "end")
            assert rows_of(screen, "line 59")[0] >= 0

    go(work)


def test_an_answer_longer_than_the_screen_is_followed_while_it_is_written() -> None:
    async def work() -> None:
        right = Speaker(LONG, f"  \n{LONG}  \nvery last", held=True)
        async with comparing(Given([Speaker(LONG)], [right])) as (pilot, screen):
            screen.prompt.fill("Who?")
            await pilot.press("enter")
            right.go.release(1)
            await until(pilot, lambda: rows_of(screen, "line 59")[1] >= 0)
            right.go.release(5)
            await until(pilot, lambda: not screen.busy)
            assert rows_of(screen, "very last")[1] == -1 < rows_of(screen, "line 59")[0]  # the end of the shorter

    go(work)


def test_after_a_failure_of_one_the_next_question_is_level_again() -> None:
    async def work() -> None:
        sides = Given([ModelError("no room"), Speaker("now")], [Speaker("one  \ntwo  \nthree"), Speaker("fine")])
        async with comparing(sides) as (pilot, screen):
            await ask(pilot, screen, "first?")
            level(screen, "first?")
            await ask(pilot, screen, "second?")
            level(screen, "second?")
            assert rows_of(screen, "first?")[0] == -1 < rows_of(screen, "first?")[1]

    go(work)


def test_what_is_read_stays_where_it_is_while_both_go_on_writing() -> None:
    left, right = Speaker("more", f"  \n{LONG}", held=True), Speaker("right", held=True)

    async def work() -> None:
        async with comparing(Given([Speaker(LONG), left], [Speaker("x"), right], apart=True)) as (pilot, screen):
            await ask(pilot, screen, "first?")
            screen.prompt.fill("second?")
            await pilot.press("enter")
            left.go.release(1)
            await until(pilot, lambda: rows_of(screen, "more")[0] >= 0)
            for column in screen.columns:
                column.transcript.focus()
            screen.columns[1].transcript.action_scroll(1_000_000)
            before = shown(screen)
            level(screen, "first?")
            left.go.release(5)
            await until(pilot, lambda: not screen.columns[0].busy)
            assert [rows[:-1] for rows in shown(screen)] == [rows[:-1] for rows in before]
            right.go.release(5)
            await until(pilot, lambda: not screen.busy)
            assert [rows[:-1] for rows in shown(screen)] == [rows[:-1] for rows in before]

    go(work)


def test_many_turns_stay_level_when_the_eldest_go_out_of_sight() -> None:
    async def work() -> None:
        async with comparing(Given([], [])) as (pilot, screen):
            screen.comparison.make_folder()
            for column in screen.columns:
                for n in range(40):
                    column.talk.ask(f"question {n}?")
                    lines = ["said", *["more"] * (n % (3 + column.place))]
                    column.talk.end_answer(Turn("assistant", "  \n".join(lines)))
                column.refresh_turns()
            await until(pilot, lambda: rows_of(screen, "question 39?")[0] >= 0)
            level(screen, "question 39?")
            await pilot.press("escape", "home")
            await until(pilot, lambda: rows_of(screen, "earlier turns")[0] >= 0)
            level(screen, "question 12?")

    go(work)
