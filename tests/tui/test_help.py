"""Help explains the pane that has the keys, with the keys as they are now."""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.pilot import Pilot
from textual.widgets import Input

import tuitune.tui
from tests.tui.given import Bench, screen_text, until
from tuitune.tui.help import HelpScreen
from tuitune.tui.kit.pane import DrawnPane, Pane


class Loss(DrawnPane):
    label, digit, HELP = "Loss", "3", "The **curve** of the loss.\n\n" + "More words.\n\n" * 30
    BINDINGS: ClassVar[list[BindingType]] = [Binding("l", "log", "Logarithmic scale", id="loss.log", tooltip="of y")]

    def action_log(self) -> None: ...


class Form(Pane):
    label, digit, HELP = "Recipe", "2", "The *recipe*. [link](https://example.org)"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+z", "undo", "Undo", id="recipe.undo")]

    def compose_body(self) -> Iterable[Any]:
        yield Input()

    def action_undo(self) -> None: ...


class Desk(Bench):
    BINDINGS: ClassVar[list[BindingType]] = [Binding("f1,question_mark", "help_here", "Help", id="app.help")]

    def compose(self) -> ComposeResult:
        yield Form()
        yield Loss()

    def action_help_here(self) -> None:
        self.push_screen(HelpScreen.for_focus(self))


def on_a_desk(body: Callable[[Desk, Pilot[Any]], Any], size: tuple[int, int] = (80, 40)) -> None:
    async def go() -> None:
        app = Desk()
        async with app.run_test(size=size, notifications=True) as pilot:
            await pilot.pause()
            await body(app, pilot)

    asyncio.run(go())


def test_the_focused_pane_is_explained_even_from_a_field_in_it() -> None:
    async def body(app: Desk, pilot: Pilot[Any]) -> None:
        app.query_one(Input).focus()
        await pilot.press("f1")
        await pilot.pause()
        text = screen_text(app)
        assert "The recipe." in text
        assert "Keys in Recipe" in text
        assert "^z" in text
        assert "Undo" in text
        assert "Keys everywhere" in text
        assert "f1  ?" in text
        assert "Logarithmic" not in text
        await pilot.press("escape")
        await pilot.pause()
        assert not isinstance(app.screen, HelpScreen)

    on_a_desk(body)


def test_long_help_scrolls_and_closes_by_its_own_key() -> None:
    async def body(app: Desk, pilot: Pilot[Any]) -> None:
        app.query_one(Loss).focus()
        await pilot.press("question_mark")
        await pilot.pause()
        assert "Logarithmic" not in screen_text(app)
        await pilot.press("end")
        scroll = app.screen.query_one(VerticalScroll)
        await until(pilot, lambda: scroll.scroll_offset.y >= scroll.max_scroll_y)
        text = screen_text(app)
        assert "Help" in text
        await pilot.press("f1")
        await pilot.pause()
        assert not isinstance(app.screen, HelpScreen)

    on_a_desk(body, size=(80, 24))


def test_remapped_keys_are_shown() -> None:
    async def body(app: Desk, pilot: Pilot[Any]) -> None:
        app.set_keymap({"recipe.undo": "f12"})
        app.query_one(Input).focus()
        await pilot.press("f1")
        await pilot.pause()
        text = screen_text(app)
        assert "f12" in text
        assert "^z" not in text

    on_a_desk(body)


def test_no_help_lists_in_a_table_what_the_keys_below_it_say() -> None:
    from textual.widget import Widget

    for module in pkgutil.walk_packages(tuitune.tui.__path__, "tuitune.tui."):
        importlib.import_module(module.name)

    def below(kind: type[Any]) -> Iterable[type[Any]]:
        for each in kind.__subclasses__():
            yield each
            yield from below(each)

    helps = {each.__name__: text for each in below(Widget) if (text := vars(each).get("HELP"))}
    assert {"FormActions", "ModelPane", "YamlPane", "GpuPane", "OptionsPane"} <= helps.keys()
    assert [name for name, text in helps.items() if "|---" in text] == []
