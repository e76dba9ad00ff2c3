"""What is offered at the start: runs that train elsewhere, as long as they do, and never before what was asked for."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.given import Engine, plant
from tests.tui.given import screen_text, until
from tuitune.run import State
from tuitune.tui import views
from tuitune.tui.app import TuiTune
from tuitune.tui.asking import Ask
from tuitune.tui.leave import Start
from tuitune.tui.opening import make
from tuitune.tui.panes.chat import ChatPane
from tuitune.tui.screens.data import DataScreen


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(views, "_LOOK_EVERY", 0.05)


def said(app: TuiTune) -> str:
    return "\n".join(str(note.message) for note in app._notifications)


def opened(start: Start) -> TuiTune:
    app = make(start, lambda run: None).app
    assert isinstance(app, TuiTune)
    return app


def test_whoever_comes_for_a_recipe_is_told_and_not_asked() -> None:
    run = plant("elsewhere")

    async def work() -> None:
        with Engine(run):
            app = opened(Start(preset="dpo"))
            async with app.run_test(size=(120, 40), notifications=True) as pilot:
                await until(pilot, lambda: bool(app.screen.query(ChatPane)))
                await until(pilot, lambda: "elsewhere trains on this machine; f4 finds it" in said(app))
                assert not isinstance(app.screen, Ask)
                await pilot.press("f3")
                await until(pilot, lambda: isinstance(app.screen, DataScreen))

    asyncio.run(work())


def test_the_offer_of_a_run_goes_when_the_run_has_ended() -> None:
    run = plant("elsewhere")

    async def work() -> None:
        with Engine(run):
            app = opened(Start())
            async with app.run_test(size=(120, 40), notifications=True) as pilot:
                await until(pilot, lambda: isinstance(app.screen, Ask) and "Attach" in screen_text(app))
                await pilot.pause(0.3)
                assert isinstance(app.screen, Ask)
                state = State.read(run.state)
                assert state is not None
                dead = replace(state, status="failed", pid=2**22 + 7, started=1.0)
                with pytest.MonkeyPatch.context() as patch:
                    # The played engine would write its own state again.
                    patch.setattr(State, "read", classmethod(lambda cls, path: dead))
                    await until(pilot, lambda: not isinstance(app.screen, Ask))
                await until(pilot, lambda: "elsewhere has ended meanwhile" in said(app))

    asyncio.run(work())
