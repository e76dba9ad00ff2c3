"""Jump mode: a key on every place that can be seen, and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.pilot import Pilot
from textual.widgets import Input

from tests.tui.given import Bench, screen_text
from tuitune.tui.jump import JumpScreen, targets
from tuitune.tui.kit.pane import DrawnPane, Pane
from tuitune.tui.screens.table import PLACES


class Field(Input):
    def __init__(self, name: str) -> None:
        super().__init__(id=name)
        self.jump_label = name


class Form(Pane):
    label, digit = "Recipe", "2"

    def compose_body(self) -> Iterable[Any]:
        with VerticalScroll(can_focus=False):
            yield Field("rank")
            yield Field("rate")
            for n in range(12):
                yield Field(f"below{n}")


class Loss(DrawnPane):
    label, digit = "Loss", "3"


class Desk(Bench):
    CSS = "Form { height: 10; } Loss { height: 6; } #gone { display: none; }"

    def compose(self) -> ComposeResult:
        yield Form()
        yield Loss(id="loss")
        yield Loss(id="gone")


def on_a_desk(body: Callable[[Desk, Pilot[Any]], Any]) -> None:
    async def go() -> None:
        app = Desk()
        async with app.run_test(size=(80, 24), notifications=True) as pilot:
            await pilot.pause()
            await body(app, pilot)

    asyncio.run(go())


async def jump(app: Desk, pilot: Pilot[Any]) -> None:
    app.push_screen(JumpScreen.over(app.screen))
    await pilot.pause()


def test_each_place_in_view_has_one_key() -> None:
    async def body(app: Desk, pilot: Pilot[Any]) -> None:
        found = {target.key: target.widget for target in targets(app.screen)}
        assert isinstance(found["2"], Form)
        assert found["3"].id == "loss"
        assert found["r"].id == "rank"
        names = {widget.id for widget in found.values()}
        assert "rate" in names
        assert "below0" in names
        assert not {"below5", "gone"} & names

    on_a_desk(body)


def test_a_key_goes_there_and_the_letters_show() -> None:
    async def body(app: Desk, pilot: Pilot[Any]) -> None:
        await jump(app, pilot)
        assert " 3 " in screen_text(app)
        await pilot.press("r")
        await pilot.pause()
        assert app.focused is app.query_one("#rank")
        await jump(app, pilot)
        await pilot.press("3")
        await pilot.pause()
        assert app.focused is app.query_one("#loss")
        await jump(app, pilot)
        await pilot.press("2")
        await pilot.pause()
        assert app.focused is app.query_one("#rank")

    on_a_desk(body)


def test_escape_and_unknown_keys_leave_and_go_nowhere() -> None:
    async def body(app: Desk, pilot: Pilot[Any]) -> None:
        app.query_one("#rate").focus()
        for key in ("escape", "ctrl+o", "9"):
            await jump(app, pilot)
            await pilot.press(key)
            await pilot.pause()
            assert not isinstance(app.screen, JumpScreen)
            assert app.focused is app.query_one("#rate")
        assert app.query_one("#rate", Input).value == ""

    on_a_desk(body)


def test_a_click_on_a_letter_goes_there() -> None:
    async def body(app: Desk, pilot: Pilot[Any]) -> None:
        place = app.query_one("#rate").region.offset
        await jump(app, pilot)
        await pilot.click(offset=(place.x + 1, place.y))
        await pilot.pause()
        assert app.focused is app.query_one("#rate")

    on_a_desk(body)


def test_another_size_ends_it() -> None:
    async def body(app: Desk, pilot: Pilot[Any]) -> None:
        await jump(app, pilot)
        await pilot.resize_terminal(60, 20)
        await pilot.pause()
        assert not isinstance(app.screen, JumpScreen)

    on_a_desk(body)


class Opens(Desk):
    """A desk that can open the other screens, as the app does."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[str] = []

    def show_screen(self, name: str) -> None:
        self.opened.append(name)


@pytest.mark.parametrize("size", [(80, 24), (160, 50)])
def test_the_other_screens_have_their_letters_on_the_last_line(size: tuple[int, int]) -> None:
    async def go() -> None:
        app = Opens()
        async with app.run_test(size=size, notifications=True) as pilot:
            await pilot.pause()
            await jump(app, pilot)
            line = screen_text(app).splitlines()[-1]
            for place in PLACES:
                assert f"{place.letter} {place.title}" in line
            letters = {place.letter for place in PLACES}
            assert not letters & {target.key for target in app.screen.targets}  # type: ignore[attr-defined]
            await pilot.press("r")  # the letter of the runs, not of the field `rank`
            await pilot.pause()
            assert app.opened == ["runs"]
            await jump(app, pilot)
            await pilot.click(offset=(line.index("Export"), size[1] - 1))
            await pilot.pause()
            assert app.opened == ["runs", "export"]

    asyncio.run(go())
