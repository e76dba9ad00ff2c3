"""Any turn of a chat: chosen, edited, answered again; thoughts, tools, files."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from tests.tui.given import Bench, screen_text
from tests.tui.panes.chatting import Fake, Speaker, ready, say, table, until
from tuitune.chat.base import Answer, Options, Turn
from tuitune.chat.conversation import Conversation
from tuitune.chat.saved import read_file
from tuitune.chat.tools import Call
from tuitune.errors import RunError
from tuitune.tui.asking import TextAsk
from tuitune.tui.panes.chat import ChatPane
from tuitune.tui.panes.chatforms import EditAsk

TOOLS = '[{"name": "weather", "description": "of a city", "parameters": {"type": "object"}}]'


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Caller(Speaker):
    """Calls a tool when it is offered one, then says what it got."""

    def reply(
        self, turns: Sequence[Turn], *, system: str | None = None, tools: str = "", sampling: Options,
        on_text: Callable[[str], None] = lambda text: None, stop: Callable[[], bool] = lambda: False,
    ) -> Answer:  # fmt: skip
        if tools and turns[-1].role == "user":
            return Answer("<call>", 3, 0.1, "end", calls=(Call("weather", {"city": "Rome"}),))
        return Answer(f"it is {turns[-1].content}", 3, 0.1, "end")


def contents(pane: ChatPane) -> list[str]:
    return [turn.content for turn in pane.talk.turns]


async def spoken(pilot: Pilot[Any], pane: ChatPane, *questions: str) -> None:
    await ready(pilot, pane)
    for text in questions:
        await say(pilot, pane, text)
    await pilot.press("escape")


async def answered(pilot: Pilot[Any], app: Bench, pane: ChatPane, text: str) -> None:
    """Fill in the form that is open, and wait for what comes of it."""
    prompt = app.screen.query_one("Prompt")
    prompt.fill(text)  # type: ignore[attr-defined]
    await pilot.press("enter")
    await until(pilot, lambda: not pane.busy and len(app.screen_stack) == 1)


def test_a_question_in_the_middle_is_edited_and_asked_again() -> None:
    async def go() -> None:
        speakers = [Speaker("one"), Speaker("two"), Speaker("other"), Speaker("again")]
        app, pane = table(Fake(*speakers))
        async with app.run_test(size=(100, 30)) as pilot:
            await spoken(pilot, pane, "first", "second")
            await pilot.press("K", "K", "K", "K")
            assert pane.chosen == 0
            await pilot.press("e")
            assert isinstance(app.screen, EditAsk)
            assert "What follows it goes" in screen_text(app)
            await answered(pilot, app, pane, "changed")
            assert contents(pane) == ["changed", "other"]
            await pilot.press("u")
            assert contents(pane) == ["first", "one", "second", "two"]
            await pilot.press("K", "K", "K", "r")  # the first answer
            await until(pilot, lambda: not pane.busy)
            assert contents(pane) == ["first", "again"]
        assert speakers[2].asked[0][0] == [Turn("user", "changed")]
        assert pane.talk.path is not None
        assert [turn.content for turn in Conversation.load(pane.talk.path).turns] == ["first", "again"]

    asyncio.run(go())


def test_an_answer_is_edited_where_it_stands() -> None:
    async def go() -> None:
        app, pane = table(Fake(Speaker("one"), Speaker("two")))
        async with app.run_test(size=(100, 30)) as pilot:
            await spoken(pilot, pane, "first", "second")
            await pilot.press("K", "K", "K", "e")
            await answered(pilot, app, pane, "better")
            assert contents(pane) == ["first", "better", "second", "two"]
            assert "(edited)" in screen_text(app)
            await pilot.press("e", "escape")  # nothing is changed
            assert contents(pane) == ["first", "better", "second", "two"]

    asyncio.run(go())


def test_an_edit_that_gets_no_answer_is_taken_back() -> None:
    async def go() -> None:
        app, pane = table(Fake(Speaker("one"), RunError("gone")))
        async with app.run_test(size=(100, 30)) as pilot:
            await spoken(pilot, pane, "first")
            await pilot.press("e")
            await answered(pilot, app, pane, "changed")
            assert contents(pane) == ["first", "one"]
            assert "gone" in screen_text(app)

    asyncio.run(go())


def test_a_chosen_turn_is_in_sight_and_tells_its_tokens() -> None:
    async def go() -> None:
        app, pane = table(Fake(*[Speaker(f"answer {n}\n\n" + "word " * 60) for n in range(6)]))
        async with app.run_test(size=(80, 24)) as pilot:
            await spoken(pilot, pane, *[f"question {n}" for n in range(6)])
            assert "question 0" not in screen_text(app)
            await pilot.press(*["K"] * 12)
            assert "you        ▌ question 0" in screen_text(app)
            await pilot.press("J")
            assert "answer 0" in screen_text(app)
            assert "(1 token, 2/s)" in screen_text(app)
            await pilot.press(*["J"] * 11)
            assert pane.chosen is None
            assert pane.transcript.following

    asyncio.run(go())


def test_thoughts_are_folded_while_they_come_and_afterwards() -> None:
    async def go() -> None:
        pieces = ("<thi", "nk>\nfirst I", " think hard\n</thi", "nk>\n\nThe an", "swer.")
        speaker = Speaker(*pieces, held=True)
        app, pane = table(Fake(speaker))
        async with app.run_test(size=(100, 24)) as pilot:
            await ready(pilot, pane)
            await pilot.press("h", "enter")
            speaker.go.release(2)
            await until(pilot, lambda: "thinking, 2 words" in screen_text(app))
            assert "first I" not in screen_text(app)
            assert "<thi" not in screen_text(app)
            speaker.go.release(3)
            await until(pilot, lambda: not pane.busy)
            assert "▸ thought, 4 words" in screen_text(app)
            assert "The answer." in screen_text(app)
            assert "think hard" not in screen_text(app)
            await pilot.press("escape", "T")
            assert "▾ thought" in screen_text(app)
            assert "first I think hard" in screen_text(app)
            await pilot.press("T")
            assert "think hard" not in screen_text(app)
        assert contents(pane)[1] == "".join(pieces)

    asyncio.run(go())


def test_tools_are_offered_called_and_answered(home: Path) -> None:
    async def go() -> None:
        (home / "tools.json").write_text(TOOLS)
        app, pane = table(Fake(*[Caller("x")] * 3))
        async with app.run_test(size=(100, 30)) as pilot:
            await ready(pilot, pane)
            await pilot.press("escape", "f")
            assert isinstance(app.screen, TextAsk)
            await pilot.press(*"no.json", "enter")
            await until(pilot, lambda: "no.json cannot be read" in screen_text(app))
            await pilot.press("f")
            await pilot.press(*"tools.json", "enter")
            await until(pilot, lambda: bool(pane.talk.tools))
            assert "no.json" not in screen_text(app)  # that is over
            pane.focus_first()
            await say(pilot, pane, "Weather?")
            assert '→ weather(city="Rome")' in screen_text(app)
            assert "type what they answer" in screen_text(app)
            assert pane.prompt.placeholder == "What does the tool answer?"
            await say(pilot, pane, "sun")
            assert "it is sun" in screen_text(app)
            assert pane.prompt.placeholder == "Ask while it learns"
            await pilot.press("escape", "f", "enter")
            await until(pilot, lambda: not pane.talk.tools)
            await pilot.press("f", *"none.json", "enter")
            await until(pilot, lambda: "cannot be read" in screen_text(app))
        assert [turn.role for turn in pane.talk.turns] == ["user", "function", "observation", "assistant"]

    asyncio.run(go())


def test_a_conversation_goes_into_a_file_and_comes_back(home: Path) -> None:
    async def go() -> None:
        app, pane = table(Fake(Speaker("one"), Speaker("two")))
        async with app.run_test(size=(100, 30)) as pilot:
            await spoken(pilot, pane, "first")
            await pilot.press("S", *"talk.json", "enter")
            assert read_file(home / "talk.json").turns == tuple(pane.talk.turns)
            pane.talk.rewrite(1, "other")
            await pilot.press("S", *"talk.json", "enter")
            assert "talk.json exists already." in screen_text(app)
            await pilot.press("a")
            assert "talk-2.json" in screen_text(app)
            await pilot.press("escape")
            assert read_file(home / "talk.json").turns[1].content == "one"
            await pilot.press("S", *"talk.json", "enter", "r")
            assert read_file(home / "talk.json").turns[1].content == "other"
            await pilot.press("S", "enter")  # what is shown is taken
            assert read_file(home / "chat.json").turns == tuple(pane.talk.turns)
            pane.talk.undo()
            other = [{"role": "user", "content": "theirs"}, {"role": "assistant", "content": "said"}]
            (home / "other.json").write_text(json.dumps(other))
            await pilot.press("O", *"other.json", "enter")
            await until(pilot, lambda: contents(pane) == ["theirs", "said"])
            await pilot.press("u")
            assert contents(pane) == ["first", "one"]

    asyncio.run(go())
