"""Questions: every way to answer, nothing lost on small screens, and foreign text stays text."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from textual.app import App
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input

from tests.cli.given import EVIL
from tests.tui.given import Bench, bench, screen_text
from tuitune.tui.asking import Ask, Choice, Notice, Picker, PickItem, TextAsk
from tuitune.tui.found import Found, matching

FACTS = ["Step 412 of 900, 3 m 12 s left. Last checkpoint: 400.", "Detached, the run goes on and loses nothing."]


def choices() -> list[Choice[str | None]]:
    return [
        Choice("k", "Keep training, detached", "come back: tuitune attach", "keep"),
        Choice("s", "Stop and save", "checkpoint-412, 4 s", "stop"),
        Choice("x", "Throw it away", "", "throw", disabled_reason="it has never been saved"),
        Choice("esc", "Cancel", "stay here", None),
    ]


def ask() -> Ask[str | None]:
    return Ask("Quit while it trains?", FACTS, choices())


Step = Callable[[Bench, Pilot[Any]], Awaitable[None]]


def answered(screen: Screen[Any], *keys: str, size: tuple[int, int] = (80, 24), then: Step | None = None) -> list[Any]:
    """Ask, press keys, and return the answers that came, at most one."""
    answers: list[Any] = []

    async def go() -> None:
        app = bench()
        async with app.run_test(size=size, notifications=True) as pilot:
            app.push_screen(screen, answers.append)
            await pilot.pause()
            await pilot.press(*keys)
            await pilot.pause()
            if then is not None:
                await then(app, pilot)

    asyncio.run(go())
    return answers


def seen(screen: Screen[Any], size: tuple[int, int] = (80, 24), ascii_glyphs: bool = False) -> str:
    shown = ""

    async def go() -> None:
        nonlocal shown
        app = bench()
        app.ascii_glyphs = ascii_glyphs
        async with app.run_test(size=size, notifications=True) as pilot:
            app.push_screen(screen)
            await pilot.pause()
            shown = screen_text(app)

    asyncio.run(go())
    return shown


def test_the_first_choice_has_the_focus_and_keys_answer() -> None:
    assert answered(ask(), "enter") == ["keep"]
    assert answered(ask(), "down", "enter") == ["stop"]
    assert answered(ask(), "up", "enter") == [None]
    assert answered(ask(), "s") == ["stop"]
    assert answered(ask(), "escape") == [None]
    assert answered(ask(), "s", "k", "escape") == ["stop"]


def test_a_choice_that_cannot_be_is_not_taken_and_says_why() -> None:
    async def then(app: Bench, pilot: Pilot[Any]) -> None:
        assert any("never been saved" in note.message for note in app._notifications)

    assert answered(ask(), "x", then=then) == []


def test_the_first_possible_choice_has_the_focus() -> None:
    first, second, *_ = reversed(choices()[:3])
    assert answered(Ask("Which?", [], [first, second]), "enter") == ["stop"]


def test_a_click_answers() -> None:
    async def then(app: Bench, pilot: Pilot[Any]) -> None:
        rows = screen_text(app).splitlines()
        y = next(n for n, row in enumerate(rows) if "Stop and save" in row)
        await pilot.click(offset=(30, y))
        await pilot.pause()

    assert answered(ask(), then=then) == ["stop"]


def test_it_looks_as_drawn() -> None:
    text = seen(ask(), (120, 40))
    assert "▌ k   Keep training, detached           come back: tuitune attach" in text
    assert "  esc Cancel                                            stay here" in text
    assert max(len(line.strip()) for line in text.splitlines()) == 72


def test_on_a_small_screen_notes_give_way_and_choices_stay() -> None:
    for size in ((80, 24), (40, 12), (30, 10)):
        text = seen(ask(), size)
        for words in ("Keep training", "Stop and save", "Cancel"):
            assert words in text, size


def test_long_facts_wrap() -> None:
    text = seen(Ask("Q", ["word " * 40 + "end"], choices()))
    assert "end" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_in_ascii_nothing_else_is_drawn() -> None:
    assert seen(ask(), ascii_glyphs=True).isascii()
    assert seen(Picker("P", [PickItem("a", "b", "c")]), ascii_glyphs=True).isascii()


def test_what_lies_below_shines_through() -> None:
    async def go() -> None:
        app = bench()
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            app.push_screen(ask())
            await pilot.pause()
            assert 0 < app.screen.styles.background.a < 1

    asyncio.run(go())


def test_foreign_text_is_text_in_every_question() -> None:
    evil = f"[/nope] [@click=app.quit]x[/] {EVIL}"
    for screen in (
        Ask(evil, [evil], [Choice("a", evil, evil, 1)]),
        TextAsk(evil, value=evil, placeholder=evil, facts=[evil]),
        Picker(evil, [PickItem("k", evil, evil, group=evil)], placeholder=evil),
        Notice(evil, evil),
    ):
        text = seen(screen)
        assert "[/nope]" in text
        assert "\x1b" not in text
        assert "\u202e" not in text


def number(text: str) -> str | None:
    return None if text.isdigit() else "write a number"


def test_a_text_is_taken_when_it_is_right() -> None:
    assert answered(TextAsk("How many?", validate=number), *"12", "enter") == ["12"]
    assert answered(TextAsk("How many?", value="7", validate=number), "enter") == ["7"]
    assert answered(TextAsk("How many?", validate=number), "escape") == [None]


def test_a_wrong_text_is_explained_until_it_is_changed() -> None:
    async def then(app: Bench, pilot: Pilot[Any]) -> None:
        assert "write a number" in screen_text(app)
        await pilot.press("backspace")
        await pilot.pause()
        assert "write a number" not in screen_text(app)

    assert answered(TextAsk("How many?", validate=number), "x", "enter", then=then) == []


def test_a_password_is_not_shown() -> None:
    async def then(app: Bench, pilot: Pilot[Any]) -> None:
        assert "hf_" not in screen_text(app)

    assert answered(TextAsk("Token", password=True), *"hf_", then=then) == []


def test_a_pasted_sequence_is_taken_out() -> None:
    async def then(app: Bench, pilot: Pilot[Any]) -> None:
        app.screen.query_one(Input).value = "a\x1b]0;PWN\x07b"
        await pilot.pause()
        assert app.screen.query_one(Input).value == "ab"

    answered(TextAsk("Name"), then=then)


ITEMS = [
    PickItem("a", "quickstart", "LoRA on a small model", group="Presets"),
    PickItem("b", "qlora", "4 bit", group="Presets"),
    PickItem("c", "mine.yaml", "~/recipes", group="Recent"),
]


def test_a_list_is_chosen_from_by_arrows_and_by_typing() -> None:
    assert answered(Picker("Begin from", ITEMS), "enter") == ["a"]
    assert answered(Picker("Begin from", ITEMS), "down", "down", "enter") == ["c"]
    assert answered(Picker("Begin from", ITEMS), "up", "enter") == ["c"]
    assert answered(Picker("Begin from", ITEMS), *"qlo", "enter") == ["b"]
    assert answered(Picker("Begin from", ITEMS), *"recipes", "enter") == ["c"]
    assert answered(Picker("Begin from", ITEMS), *"xyz", "enter") == []
    assert answered(Picker("Begin from", ITEMS), "escape") == [None]
    assert answered(Picker("Begin from", ITEMS, chosen="b"), "enter") == ["b"]


def test_a_title_counts_more_than_a_note() -> None:
    items = [PickItem("n", "x", "lora"), PickItem("t", "a lora", ""), *ITEMS]
    assert [item.key for item in matching(items, "lora")] == ["t", "b", "n", "a"]
    named = [PickItem(title, title, "") for title in ("tuned2", "untuned", "Tuned", "tuned/checkpoint-2")]
    assert [item.key for item in matching(named, "tuned")] == ["Tuned", "tuned2", "tuned/checkpoint-2", "untuned"]


def test_a_long_list_follows_the_cursor_and_groups_show() -> None:
    items = [PickItem(str(n), f"item {n}", "", group="One" if n < 30 else "Two") for n in range(60)]

    async def then(app: Bench, pilot: Pilot[Any]) -> None:
        assert "One" in screen_text(app)
        await pilot.press("up")
        await pilot.pause()
        assert "item 59" in screen_text(app)
        await pilot.press("pageup", "pageup", "pageup", "pageup", "pageup", "pageup", "pageup")
        await pilot.pause()
        assert "item 0" in screen_text(app)
        assert "One" in screen_text(app)

    answered(Picker("Runs", items), then=then)


def test_a_click_in_a_list_chooses() -> None:
    async def then(app: Bench, pilot: Pilot[Any]) -> None:
        await pilot.click(Found, offset=(4, 2))
        await pilot.pause()

    assert answered(Picker("Begin from", ITEMS), then=then) == ["b"]


def test_a_notice_scrolls_and_is_copied() -> None:
    text = "\n".join(f"line {n}" for n in range(99))

    async def then(app: Bench, pilot: Pilot[Any]) -> None:
        assert "1-" in screen_text(app)
        await pilot.press("end")
        await pilot.pause()
        assert "line 98" in screen_text(app)
        await pilot.press("c")
        await pilot.pause()
        assert app.copied == [text]
        await pilot.press("escape")

    assert answered(Notice("It failed", text), then=then) == [None]


def test_without_a_copy_of_its_own_the_app_copies_as_textual_does() -> None:
    async def go() -> None:
        app: App[None] = App()
        async with app.run_test(notifications=True) as pilot:
            from tuitune.tui.notice import copy_by

            copy_by(app, "words")
            await pilot.pause()
            assert app.clipboard == "words"

    asyncio.run(go())
