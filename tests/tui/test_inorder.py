"""Keys typed ahead: they wait for the dialog or screen that an earlier key opens."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from textual.widgets import Input

from tests.tui.given import typed
from tests.tui.test_app import MIDDLE, go, home, made, opened, said, until  # noqa: F401
from tuitune.tui.picker import Found, Picker, PickItem
from tuitune.tui.screens.data import DataScreen
from tuitune.tui.screens.evaluate import EvaluateScreen

ITEMS = [PickItem(name, name, "", "Models") for name in ("other", "tuned", "third")]


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let the list of subjects be found as late as a test says."""
    late = threading.Event()

    def found(*_: object, **__: object) -> list[PickItem]:
        late.wait(20)
        return ITEMS

    monkeypatch.setattr("tuitune.tui.subjects.subjects", found)
    return late


def test_letters_typed_before_a_list_is_there_search_in_it(home: Path, gate: threading.Event) -> None:  # noqa: F811
    async def check() -> None:
        app = made()
        async with opened(app, MIDDLE) as pilot:
            await typed(pilot, "f6", "w", *"tuned")
            await until(pilot, lambda: isinstance(app.screen, Picker) and app.screen.query_one(Input).value == "tuned")
            await typed(pilot, "enter", "y")  # the second one is for what comes after the list
            await until(pilot, lambda: app.screen.waits)  # type: ignore[attr-defined]
            assert "looking" in app.screen.query_one(Found).none
            gate.set()
            await until(pilot, lambda: isinstance(app.screen, EvaluateScreen) and app.screen.subject == "tuned")
            await until(pilot, lambda: "tuned" in app.clipboard)

    go(check)


def test_escape_leaves_a_list_that_is_looked_for(home: Path, gate: threading.Event) -> None:  # noqa: F811
    async def check() -> None:
        app = made()
        async with opened(app, MIDDLE) as pilot:
            await typed(pilot, "f6", "w", "enter", "x", "escape")
            await until(pilot, lambda: isinstance(app.screen, EvaluateScreen))
            before = app.screen.subject  # type: ignore[attr-defined]
            gate.set()
            await pilot.pause(0.2)
            assert isinstance(app.screen, EvaluateScreen)
            assert app.screen.subject == before
            assert "nothing is at work here" not in said(app)  # x was for what enter would have brought

    go(check)


def test_a_letter_behind_the_jump_key_is_for_the_jump(home: Path) -> None:  # noqa: F811
    async def check() -> None:
        app = made()
        async with opened(app, MIDDLE) as pilot:
            await typed(pilot, "ctrl+o", "e", "escape", "ctrl+o", "d", "ctrl+n", *"dpo")
            await until(pilot, lambda: isinstance(app.screen, Picker) and app.screen.query_one(Input).value == "dpo")
            assert isinstance(app.screen_stack[-2], DataScreen)

    go(check)


def test_a_list_that_cannot_be_found_is_left(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    def fails(*_: object, **__: object) -> list[PickItem]:
        raise OSError("the disk is gone")

    monkeypatch.setattr("tuitune.tui.subjects.subjects", fails)

    async def check() -> None:
        app = made()
        async with opened(app, MIDDLE) as pilot:
            await typed(pilot, "f6", "w", "enter")
            await until(pilot, lambda: "the disk is gone" in said(app))
            await until(pilot, lambda: isinstance(app.screen, EvaluateScreen))

    go(check)
