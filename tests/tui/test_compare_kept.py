"""Comparisons that were kept, on the Compare screen: said when it opens, and gone on with from wherever they began."""

from __future__ import annotations

from collections.abc import Sequence
from unittest.mock import ANY

from tests.chat.test_kept import Counts
from tests.tui.given import offered, screen_text
from tests.tui.panes.chatting import Speaker
from tests.tui.test_app import SMALL, go, home, until  # noqa: F401
from tests.tui.test_compare import Given, ask, both, comparing
from tuitune.chat.compare import Comparison
from tuitune.cli.comparing import Comparing
from tuitune.run import places
from tuitune.tui.panes.column import Hint
from tuitune.tui.screens.compare import CompareScreen
from tuitune.tui.screens.compare_files import last_one


def kept(*questions: str, words: Sequence[str] = ("tuned", "base"), day: int = 1) -> Comparison:
    """Return a comparison as `tuitune chat --compare` keeps one, still open there."""
    talk = Comparison(places.home() / "comparisons" / f"202611{day:02}-101500-abcdef")
    at_prompt = Comparing([Counts(), Counts()], words, talk, {"max_new_tokens": 9})
    for question in questions:
        at_prompt.said(question)
    return talk


def test_what_was_begun_in_the_terminal_is_said_and_gone_on_with_as_it_was_drawn() -> None:
    begun = kept("Who are you?")
    begun.close()

    async def work() -> None:
        async with comparing(Given([Speaker("more")], [Speaker("other")])) as (pilot, screen):
            await until(pilot, lambda: "The last comparison was" in screen_text(pilot.app))
            assert "Who are you?" in screen_text(pilot.app)
            assert "esc o goes on with it, or with an earlier one" in screen_text(pilot.app)
            assert screen.columns[1].hint is None
            await pilot.press("escape", "o")
            await until(pilot, lambda: offered(pilot.app))
            assert "tuned | base" in screen_text(pilot.app)
            await pilot.press("enter")
            await until(pilot, lambda: both(screen) == [["Who are you?", "1"]] * 2)
            assert screen.sampling["max_new_tokens"] == 9
            assert "The last comparison" not in screen_text(pilot.app)
            await ask(pilot, screen, "And?")
            assert screen.comparison.folder == begun.folder

    go(work)
    assert begun.folder is not None
    again = Comparison.load(begun.folder)  # the screen has let go of it
    assert not again.is_copy
    back = Comparing([Counts(), Counts()], ["tuned", "base"], again, dict(again.sampling or {}))
    back.said("Well?")
    assert [turn.content for turn in again.sides[0].turns] == ["Who are you?", "1", "And?", "more", "Well?", "5"]


def test_an_answer_that_a_crash_cut_off_is_said_first() -> None:
    cut = kept("Cut off?")
    cut.ask("Why?")
    cut.sides[1].begin_answer("base").add("because of")
    assert cut.folder is not None
    newer = kept("Newer?", day=2)

    async def work() -> None:
        async with comparing(Given([], []), SMALL) as (pilot, screen):
            await until(pilot, lambda: "The last comparison was" in screen_text(pilot.app))  # nothing has died yet
            assert "Newer?" in screen_text(pilot.app)
            pilot.app.pop_screen()
            await until(pilot, lambda: not screen.is_attached)
            cut.close()
            screen = CompareScreen("tuned", "base")
            pilot.app.push_screen(screen)
            await until(pilot, lambda: screen.prompt.has_focus)
            await until(pilot, lambda: "An answer was cut off" in screen_text(pilot.app))
            assert "Cut off?" in screen_text(pilot.app)
            await pilot.press("escape", "o")
            await until(pilot, lambda: offered(pilot.app))
            assert "cut off, " in screen_text(pilot.app)
            await pilot.press(*"Cut off", "enter")
            await until(pilot, lambda: both(screen)[1:] == [["Cut off?", "1", "Why?", "because of"]])
            await pilot.press("o")
            await until(pilot, lambda: offered(pilot.app))
            assert "cut off, " not in screen_text(pilot.app)

    go(work)
    newer.close()


def test_what_is_open_in_a_terminal_is_gone_on_with_as_a_copy_and_what_names_nobody_says_so() -> None:
    nobody = kept("Nobody?", words=("", "smollm2-135m"))
    nobody.close()
    held = kept("Open?", day=2)

    async def work() -> None:
        async with comparing(Given([Speaker("more")], [Speaker("other")])) as (pilot, screen):
            await pilot.press("escape", "o")
            await until(pilot, lambda: offered(pilot.app))
            await pilot.press(*"Open", "enter")
            await until(pilot, lambda: both(screen) == [["Open?", "1"]] * 2)
            assert "goes on with a copy" in screen.remark
            await ask(pilot, screen, "And?")
            await pilot.press("escape", "o")
            await until(pilot, lambda: offered(pilot.app))
            await pilot.press(*"Nobody", "enter")
            await until(pilot, lambda: both(screen) == [["Nobody?", "1"]] * 2)
            assert "does not tell who was asked" in screen.remark
            assert screen.sides is not None
            assert screen.sides.words == ["tuned", "base"]

    go(work)
    assert [len(side.turns) for side in held.sides] == [2, 2]
    assert held.folder is not None
    assert [len(side.turns) for side in Comparison.peek(held.folder)] == [2, 2]


def test_the_comparison_that_is_open_is_not_opened_once_more() -> None:
    async def work() -> None:
        async with comparing(Given([Speaker("one")], [Speaker("two")])) as (pilot, screen):
            await ask(pilot, screen, "Who?")
            before = screen.comparison
            await pilot.press("escape", "o")
            await until(pilot, lambda: offered(pilot.app))
            await pilot.press("enter")
            await until(pilot, lambda: screen.remark == "it is open here already")
            assert screen.comparison is before

    go(work)


def test_nothing_is_said_where_nothing_was_kept() -> None:
    assert last_one() is None
    empty = Comparison.begin()
    empty.make_folder()  # as one whose first question was taken back
    assert last_one() is None
    kept("a\x1b]0;PWN\x07b").close()
    assert last_one() == Hint(ANY, "ab", cut_off=False)
