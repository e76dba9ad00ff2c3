"""Keys typed ahead: they wait for the dialog or screen that an earlier key opens."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from textual.widgets import Input

from tests.tui.given import typed
from tests.tui.test_app import MIDDLE, go, home, made, opened, said, until  # noqa: F401
from tuitune.tui.app import TuiTune
from tuitune.tui.exporting import Plan
from tuitune.tui.found import Found, PickItem
from tuitune.tui.panes.jobs import JobsPane
from tuitune.tui.picker import Picker
from tuitune.tui.screens.data import DataScreen
from tuitune.tui.screens.evaluate import EvaluateScreen

ITEMS = [PickItem(name, name, "", "Models") for name in ("other", "tuned", "third")]


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Let the list of subjects be found as late as a test says."""
    late = threading.Event()

    def found(*_: object, **__: object) -> list[PickItem]:
        late.wait(60)
        return ITEMS

    monkeypatch.setattr("tuitune.tui.subjects.subjects", found)
    return late


def searched(app: TuiTune) -> str:
    """Return what is typed in an open list."""
    return next((field.value for field in app.screen.query(Input)), "") if isinstance(app.screen, Picker) else ""


def test_letters_typed_before_a_list_is_there_search_in_it(home: Path, gate: threading.Event) -> None:  # noqa: F811
    async def check() -> None:
        app = made()
        async with opened(app, MIDDLE) as pilot:
            await typed(pilot, "f6", "w", *"tuned")
            await until(pilot, lambda: searched(app) == "tuned")
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
            await until(pilot, lambda: isinstance(app.screen, EvaluateScreen) and not app._at_key)
            before = app.screen.subject  # type: ignore[attr-defined]
            gate.set()
            await pilot.pause(0.2)
            assert isinstance(app.screen, EvaluateScreen)
            assert app.screen.subject == before
            assert "nothing is at work here" not in said(app)  # x was for what enter would have brought

    go(check)


def test_the_app_is_left_while_a_list_is_looked_for(home: Path, gate: threading.Event) -> None:  # noqa: F811
    async def check() -> None:
        app = made()
        async with opened(app, MIDDLE) as pilot:
            await typed(pilot, "f6", "w", "enter", "x", "ctrl+q")
            await until(pilot, lambda: app.return_value is not None)
            gate.set()

    go(check)


def test_a_letter_behind_the_jump_key_is_for_the_jump(home: Path) -> None:  # noqa: F811
    async def check() -> None:
        app = made()
        async with opened(app, MIDDLE) as pilot:
            await typed(pilot, "ctrl+o", "e", "escape", "ctrl+o", "d", "ctrl+n", *"dpo")
            await until(pilot, lambda: searched(app) == "dpo")
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


PLACES = {"evaluate": "evaluate_subject", "export": "export_actions", "serve": "serve_actions"}


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Keep the commands that would begin."""
    commands: list[list[str]] = []
    monkeypatch.setattr(JobsPane, "begin", lambda self, kind, title, argv: commands.append(list(argv)))
    monkeypatch.setattr(
        "tuitune.tui.screens.export_actions.plan", lambda asked, *_: Plan(("export", asked.subject or "", "/x"))
    )
    return commands


@pytest.mark.parametrize("place", PLACES)
def test_a_start_waits_until_it_is_known_what_it_is_about(
    place: str, home: Path, monkeypatch: pytest.MonkeyPatch, begun: list[list[str]]  # noqa: F811
) -> None:  # fmt: skip
    late = threading.Event()
    monkeypatch.setattr(
        f"tuitune.tui.screens.{PLACES[place]}.default_subject", lambda app: "the-default" if late.wait(60) else None
    )

    async def check() -> None:
        app = made()
        async with opened(app, MIDDLE) as pilot:
            app.show_screen(place)
            await until(pilot, lambda: bool(app.screen.query(JobsPane)))
            await typed(pilot, "s")
            await until(pilot, lambda: "it starts as soon as that is known" in said(app))
            assert not begun
            late.set()
            await until(pilot, lambda: bool(begun))
            assert begun[0][:2] == [place, "the-default"]

    go(check)


def test_a_start_is_of_the_model_that_was_chosen_just_before(
    home: Path, gate: threading.Event, begun: list[list[str]]  # noqa: F811
) -> None:  # fmt: skip
    gate.set()

    async def check() -> None:
        app = made()
        async with opened(app, MIDDLE) as pilot:
            app.show_screen("evaluate", "former")
            await until(pilot, lambda: bool(app.screen.query(JobsPane)))
            await typed(pilot, "w", *"third", "enter", "s")
            await until(pilot, lambda: bool(begun))
            assert begun == [["evaluate", "third"]]

    go(check)
