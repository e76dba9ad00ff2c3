from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.tui import given
from tests.tui.given import Bench, bench, screen_text
from tests.tui.runs import T0, append, logged, opening, run_with, steps
from tuitune.run import RunDir, events
from tuitune.tui.panes.log import LogPane
from tuitune.tui.runview import RunView

CSS = "LogPane { height: 1fr; padding: 0 1; }"
LONG = "the tokenizer of this model has no padding token and one was made of the end of sequence token instead"
Check = Callable[[Pilot[object], LogPane, RunView], Awaitable[None]]


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    warned = events.Warned(LONG, "nothing needs to be done", t=T0 + 80)
    return run_with(tmp_path, [*opening(), *steps(1, 60), warned], step=60)


def shown(run: RunDir | None, check: Check | None = None, keys: str = "", size: tuple[int, int] = (60, 14)) -> str:
    async def go() -> str:
        pane = LogPane()
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


async def until(pilot: Pilot[object], pane: LogPane, view: RunView, text: str) -> None:
    def there() -> bool:
        pane.show(view)
        return text in screen_text(pilot.app)

    await given.until(pilot, there)


def lines(text: str) -> list[str]:
    return [line[8:] for line in text.split("\n")[1:] if line.strip()]


def test_without_a_run_it_says_what_will_be_here() -> None:
    assert "What happens in a run is listed here" in shown(None)


def test_the_newest_line_is_first_and_has_its_time(run: RunDir) -> None:
    text = shown(run)
    assert "newest first" in text
    assert lines(text)[0].startswith("the tokenizer of this model")
    assert lines(text)[1:3] == ["eval 1.266", "warm-up over lr 1.0e-4"]
    assert text.split("\n")[2][3] == ":"


def test_enter_shows_the_whole_line_and_one_row_again(run: RunDir) -> None:
    opened = shown(run, keys="enter")
    assert "nothing needs to be done" in opened
    assert " ".join(lines(opened)[:3]).startswith(LONG)
    assert "nothing needs to be done" not in shown(run, keys="enter enter")


def test_a_chosen_line_stays_chosen_while_others_come(run: RunDir) -> None:
    async def check(pilot: Pilot[object], pane: LogPane, view: RunView) -> None:
        append(run, [events.CheckpointSaved(60, "/x", 10, 1.0, t=T0 + 90)])
        view.poll()
        pane.show(view)
        await pilot.pause()
        await pilot.press("y")
        app = pilot.app
        assert isinstance(app, Bench)
        assert app.copied == ["evaluation at step 50: loss 1.2663, 0.0 s"]

    text = shown(run, check, keys="down")
    assert lines(text)[0] == "checkpoint-60 10 B"


def test_it_scrolls_to_the_chosen_line(run: RunDir) -> None:
    text = shown(run, keys="end", size=(60, 6))
    assert lines(text)[-1] == "started smollm2-135m"
    assert lines(shown(run, keys="end home", size=(60, 6)))[0].startswith("the tokenizer")
    assert lines(shown(run, keys="pagedown pagedown pageup", size=(60, 6)))


def test_only_problems(run: RunDir) -> None:
    text = shown(run, keys="w")
    assert len(lines(text)) == 1
    assert "problems" in text
    assert len(lines(shown(run, keys="w w"))) > 4


def test_the_tail_of_the_console_log_follows(run: RunDir) -> None:
    run.console.write_text("".join(f"line {number}\n" for number in range(50)) + "\x1b]0;evil\x07[/nope]\n")

    async def check(pilot: Pilot[object], pane: LogPane, view: RunView) -> None:
        await until(pilot, pane, view, "[/nope]")
        assert "console.log" in screen_text(pilot.app)
        with run.console.open("a") as stream:
            stream.write("one more\n")
        await until(pilot, pane, view, "one more")
        await pilot.press("t")
        await pilot.pause()

    text = shown(run, check, keys="t")
    assert "newest first" in text
    assert "one more" not in text


def test_a_line_of_the_tail_stays_chosen_while_it_grows(run: RunDir) -> None:
    run.console.write_text("".join(f"line {number}\n" for number in range(50)))

    async def check(pilot: Pilot[object], pane: LogPane, view: RunView) -> None:
        await until(pilot, pane, view, "line 49")
        await pilot.press("up", "up")
        with run.console.open("a") as stream:
            stream.write("".join(f"more {number}\n" for number in range(50)))
        await given.until(pilot, lambda: pane.show(view) or pane._items[-1].text == "more 49")
        await pilot.press("y")
        assert isinstance(pilot.app, Bench)
        assert pilot.app.copied == ["line 47"]

    shown(run, check, keys="t")


def test_without_a_run_the_tail_says_why_not() -> None:
    async def go() -> None:
        pane = LogPane()
        app = bench(pane, css=CSS)
        async with app.run_test(notifications=True) as pilot:
            pane.show(None)
            pane.focus()
            await pilot.press("t")
            await pilot.pause()
            assert any("no run" in note.message for note in app._notifications)
            assert not pane.tailing

    asyncio.run(go())


def test_a_console_log_that_is_not_there(run: RunDir) -> None:
    async def check(pilot: Pilot[object], pane: LogPane, view: RunView) -> None:
        await until(pilot, pane, view, "Nothing was printed yet.")

    shown(run, check, keys="t")


def test_a_second_click_opens_a_line(run: RunDir) -> None:
    async def check(pilot: Pilot[object], pane: LogPane, view: RunView) -> None:
        await pilot.click(pane, offset=(20, 2))
        assert "evaluation at step" not in screen_text(pilot.app)
        await pilot.click(pane, offset=(20, 2))
        await pilot.pause()
        assert "evaluation at step 50" in screen_text(pilot.app)

    shown(run, check)


def test_it_draws_only_when_there_is_something_new(run: RunDir) -> None:
    async def check(pilot: Pilot[object], pane: LogPane, view: RunView) -> None:
        drawn: list[int] = []
        pane.redraw = lambda: drawn.append(1)  # type: ignore[method-assign]
        pane.show(view)
        assert not drawn
        append(run, [logged(61)])
        view.poll()
        pane.show(view)
        assert drawn

    shown(run, check)


def test_every_key_has_an_id_a_tooltip_and_an_action() -> None:
    for binding in LogPane.BINDINGS:
        assert binding.id.startswith("log.")  # type: ignore[union-attr]
        assert binding.tooltip  # type: ignore[union-attr]
        assert hasattr(LogPane, f"action_{binding.action.partition('(')[0]}")  # type: ignore[union-attr]
