"""The line of keys: what fits is shown whole, and a click does it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from textual.pilot import Pilot

from tests.tui.given import Bench, screen_text
from tuitune.tui.keys import KeysLine

KEYS = [("^r", "pause", "pause"), ("^t", "yaml", "yaml"), ("f1", "help")]


class Desk(Bench):
    def action_pause(self) -> None:
        self.copied.append("pause")

    def action_yaml(self) -> None:
        self.copied.append("yaml")


def on_a_desk(body: Callable[[Desk, KeysLine, Pilot[Any]], Any], width: int = 80) -> None:
    async def go() -> None:
        line = KeysLine(id="keys")
        app = Desk(line, css="#keys { padding: 0 2; }")
        async with app.run_test(size=(width, 10), notifications=True) as pilot:
            line.show(KEYS)
            await pilot.pause()
            await body(app, line, pilot)

    asyncio.run(go())


def test_they_stand_in_a_row() -> None:
    async def body(app: Desk, line: KeysLine, pilot: Pilot[Any]) -> None:
        assert screen_text(app).splitlines()[0] == "  ^r pause   ^t yaml   f1 help"

    on_a_desk(body)


def test_what_does_not_fit_whole_is_left_out() -> None:
    async def body(app: Desk, line: KeysLine, pilot: Pilot[Any]) -> None:
        assert screen_text(app).splitlines()[0] == "  ^r pause   ^t yaml"

    on_a_desk(body, width=27)


def test_a_click_does_what_the_key_does_and_a_gap_does_nothing() -> None:
    async def body(app: Desk, line: KeysLine, pilot: Pilot[Any]) -> None:
        for x in (2, 9, 11, 13, 20, 24):  # pause, its end, the gap, yaml, its end, help without an action
            await pilot.click(KeysLine, offset=(x, 0))
            await pilot.pause()
        assert app.copied == ["pause", "pause", "yaml"]

    on_a_desk(body)


def test_other_words_are_shown_at_once() -> None:
    async def body(app: Desk, line: KeysLine, pilot: Pilot[Any]) -> None:
        line.show([("^r", "go on", "pause")])
        await pilot.pause()
        assert screen_text(app).splitlines()[0] == "  ^r go on"

    on_a_desk(body)
