from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.tui.given import Bench, bench, screen_text
from tests.tui.runs import answered, append, logged, online, run_with
from tuitune.run import RunDir
from tuitune.tui.panes.answers import AnswersPane
from tuitune.tui.runview import RunView

CSS = "AnswersPane { height: 1fr; padding: 0 1; }"
Check = Callable[[Pilot[object], AnswersPane, RunView], Awaitable[None]]


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    return run_with(tmp_path, online(1, 30), step=30)


def shown(run: RunDir | None, check: Check | None = None, keys: str = "", size: tuple[int, int] = (70, 16)) -> str:
    async def go() -> str:
        pane = AnswersPane()
        app = bench(pane, css=CSS)
        view = None
        if run is not None:
            view = RunView(run)
            view.poll()
        async with app.run_test(size=size, notifications=True) as pilot:
            pane.show(view)
            pane.focus()
            await pilot.pause()
            await pilot.press(*keys.split())
            await pilot.pause()
            if check is not None:
                assert view is not None
                await check(pilot, pane, view)
            return screen_text(app)

    return asyncio.run(go())


def test_without_answers_it_says_what_will_be_here() -> None:
    assert "stages ppo, grpo and rloo" in shown(None)


def test_the_newest_prompt_is_first_and_its_best_answer_next(run: RunDir) -> None:
    lines = shown(run).split("\n")
    assert "30 prompts, newest first" in lines[0]
    assert re.search(r"▌ 30 +Ann has 6 apples.* 6 \+ 7 = 13 #### 13 +mean \d", lines[1])
    assert re.search(r"━{8} 1\.09 +<think> 6 and 7 make 13", lines[2])
    assert re.search(r"━+─+ 0\.59 +1313", lines[3])
    assert re.search(r"━+─+ 0\.19 +It is 12\.", lines[4])
    assert re.search(r"─{8} none +\[/b\]", lines[5])
    assert re.search(r" 29 +Ann", lines[6])


def test_parts_of_a_reward_stand_beside_it_where_there_is_room(run: RunDir) -> None:
    assert "exact 1.00 reward_short 0.20" in shown(run, size=(110, 12))
    assert "exact" not in shown(run)


def test_enter_shows_all_of_a_prompt_or_an_answer(run: RunDir) -> None:
    text = shown(run, keys="enter")
    assert "How many has she now?" in " ".join(text.split())
    assert "the data answers: 6 + 7 = 13" in text
    text = shown(run, keys="down down enter")
    assert "exact 1.00 reward_short -0.50" in text
    assert text.count("131313") >= 2
    assert shown(run, keys="down enter enter") == shown(run, keys="down")


def test_a_text_longer_than_the_pane_scrolls_line_by_line(run: RunDir) -> None:
    size = (40, 6)
    first = shown(run, keys="down down enter", size=size)
    assert "exact" in first
    later = shown(run, keys="down down enter down down", size=size)
    assert "exact" not in later
    assert "1313" in later
    assert shown(run, keys="down down enter down down up up", size=size) == first
    beyond = shown(run, keys="down down enter pagedown pagedown pagedown pagedown", size=size)
    assert "It is 12." in beyond


def test_nothing_that_a_model_says_reaches_the_terminal_as_a_command(run: RunDir) -> None:
    text = shown(run, keys="down down down down enter")
    assert "\x1b" not in text
    assert "evil" not in text
    assert "[/b]" in text


def test_what_is_chosen_stays_chosen_while_others_come(run: RunDir) -> None:
    async def check(pilot: Pilot[object], pane: AnswersPane, view: RunView) -> None:
        append(run, [answered(31), logged(31)])
        view.poll()
        pane.show(view)
        await pilot.pause()
        await pilot.press("y")
        app = pilot.app
        assert isinstance(app, Bench)
        assert app.copied == ["<think>\n6 and 7 make 13, for 6 + 6 = 12 and one more.\n</think>\n13"]
        assert "31 prompts" in screen_text(app)

    shown(run, check, keys="down")


def test_texts_are_cleaned_only_when_they_are_looked_at_and_few_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tuitune.tui import samples

    made: list[int] = []
    plain = samples._lines
    monkeypatch.setattr(samples, "_lines", lambda event: made.append(event.step) or plain(event))
    view = RunView(run_with(tmp_path, [answered(step) for step in range(1, 251)], step=250))
    view.poll()
    assert not made
    spots = view.samples.spots()
    assert len(made) == len(view.samples) == 100
    assert [spot.sample.step for spot in spots if spot.answer is None] == list(range(250, 150, -1))
    append(view.run, [answered(251)])
    view.poll()
    assert view.samples.spots()[6] is spots[1]
    assert made[100:] == [251]
