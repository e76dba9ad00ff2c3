"""The chat with a reward model: every answer has a score, also one that the user typed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.tui.given import screen_text
from tests.tui.panes.chatting import Critic, Fake, Speaker, ready, say, table
from tuitune.chat.conversation import Conversation
from tuitune.tui.panes.chat import ChatPane


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))


def said(pane: ChatPane) -> list[tuple[str, float | None]]:
    return [(turn.content, turn.score) for turn in pane.talk.turns]


def test_answers_are_scored_typed_ones_too_and_a_second_takes_the_place_of_the_first() -> None:
    async def go() -> None:
        app, pane = table(Fake(*[Critic("four") for _ in range(3)]))
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await ready(pilot, pane)
            await say(pilot, pane, "Who?")
            assert "(score 4)" in screen_text(app)
            await say(pilot, pane, "/answer seven77")
            await say(pilot, pane, "/answer two two")
            assert said(pane) == [("Who?", None), ("two two", 7.0)]
            assert "(score 7)" in screen_text(app)
            assert pane.talk.path is not None
            assert Conversation.load(pane.talk.path).turns[-1].score == 7.0
            pane.action_undo()
            assert said(pane)[-1] == ("seven77", 7.0)

    asyncio.run(go())


def test_where_nobody_writes_the_question_waits_for_an_answer() -> None:
    async def go() -> None:
        app, pane = table(Fake(*[Critic() for _ in range(3)]))
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await ready(pilot, pane)
            await say(pilot, pane, "Who?")
            assert "/answer TEXT" in screen_text(app)
            await say(pilot, pane, "No, what?")
            await say(pilot, pane, "/answer that")
            assert said(pane) == [("No, what?", None), ("that", 4.0)]

    asyncio.run(go())


def test_a_typed_answer_that_nobody_judges_goes_back_to_the_prompt() -> None:
    async def go() -> None:
        app, pane = table(Fake(Speaker("four"), Speaker("no")))
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await ready(pilot, pane)
            await say(pilot, pane, "/answer x")
            assert "ask a question first" in screen_text(app)
            pane.prompt.text = ""
            await say(pilot, pane, "Who?")
            await say(pilot, pane, "/answer mine")
            assert "this is no reward model" in screen_text(app)
            assert pane.prompt.text == "/answer mine"
            assert said(pane) == [("Who?", None), ("four", None)]

    asyncio.run(go())
