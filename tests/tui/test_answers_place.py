"""Where the answers of a run stand in the app: in the place of the chat, alone, or behind a tab of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.tui.given import screen_text
from tests.tui.runs import online, opening, run_with, steps
from tests.tui.test_app import opened, until
from tests.tui.test_snapshots import Still
from tuitune.run import RunDir
from tuitune.tui.app import TuiTune
from tuitune.tui.draft import Draft
from tuitune.tui.leave import Leave
from tuitune.tui.panes.answers import AnswersPane
from tuitune.tui.panes.loss import LossPane
from tuitune.tui.settings import Settings


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def look(run: RunDir, size: tuple[int, int], check: Callable[[Pilot[Leave], TuiTune], Awaitable[None]]) -> None:
    async def work() -> None:
        draft = Draft()
        draft.use_preset("quickstart")
        app = TuiTune(draft, Settings.load(), run=run, sampler=Still(nvml=False))
        async with opened(app, size) as pilot:
            await until(pilot, lambda: app.control.view is not None)
            if size[0] < 100:  # the curve comes to the front there
                await until(pilot, lambda: isinstance(app.focused, LossPane))
            app.tick()
            await until(pilot, lambda: "ep 0." in screen_text(app) or "epoch" in screen_text(app))
            await check(pilot, app)

    asyncio.run(work())


@pytest.mark.parametrize("size", [(160, 50), (120, 40)])
def test_answers_and_chat_share_a_place(size: tuple[int, int], tmp_path: Path) -> None:
    async def check(pilot: Pilot[Leave], app: TuiTune) -> None:
        assert "4 Chat ─" in screen_text(app)
        assert "7 Answers ─" not in screen_text(app)
        await pilot.press("7")
        await until(pilot, lambda: "Ann has 6 apples" in screen_text(app))
        assert "4 Chat ─" not in screen_text(app)
        assert "3 Reward ─" in screen_text(app)
        assert isinstance(app.focused, AnswersPane)
        await pilot.press("z")
        await until(pilot, lambda: "3 Reward ─" not in screen_text(app))
        assert "Ann has 6 apples" in screen_text(app)
        await pilot.press("escape", "4")
        await until(pilot, lambda: "4 Chat ─" in screen_text(app))
        assert "Ann has 6 apples" not in screen_text(app)

    look(run_with(tmp_path, online(1, 20), step=20), size, check)


def test_a_narrow_screen_has_the_tab_only_where_there_are_answers(tmp_path: Path) -> None:
    async def there(pilot: Pilot[Leave], app: TuiTune) -> None:
        assert "7 Answers" in screen_text(app)
        await pilot.press("7")
        await until(pilot, lambda: "Ann has 6 apples" in screen_text(app))

    async def not_there(pilot: Pilot[Leave], app: TuiTune) -> None:
        assert "7 Answers" not in screen_text(app)
        await pilot.press("7")
        await until(pilot, lambda: "7 Answers" in screen_text(app))
        assert "appear here" in screen_text(app)

    look(run_with(tmp_path / "a", online(1, 20), step=20), (80, 24), there)
    look(run_with(tmp_path / "b", [*opening(), *steps(1, 20)], step=20), (80, 24), not_there)


def test_the_status_line_and_the_log_tell_the_reward(tmp_path: Path) -> None:
    async def check(pilot: Pilot[Leave], app: TuiTune) -> None:
        assert "reward 0." in screen_text(app).split("\n")[0]
        await pilot.press("6")
        await until(pilot, lambda: "eval reward 0.665" in screen_text(app))
        assert "answers 7 shows them" in screen_text(app)

    look(run_with(tmp_path, online(1, 60), step=60), (80, 24), check)
