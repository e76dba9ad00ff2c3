"""The palette lists every action, does it where it belongs, and says why one cannot be done."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.command import CommandPalette
from textual.pilot import Pilot
from textual.widgets import Input

from tests.cli.given import EVIL
from tests.tui.given import Bench, gathered, screen_text, until
from tuitune.tui.actions import gather, keymap_problems
from tuitune.tui.kit.pane import DrawnPane, Pane
from tuitune.tui.palette import Actions


class Loss(DrawnPane):
    label, digit = "Loss", "3"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("l", "log", "Logarithmic scale", id="loss.log", tooltip="of the y axis"),
        Binding("s", "smooth", "Smoothing", id="loss.smooth"),
    ]
    done = 0

    def action_log(self) -> None:
        self.done += 1

    def action_smooth(self) -> None:
        self.done += 100


class Form(Pane):
    label, digit = "Recipe", "2"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+z", "undo", "Undo", id="recipe.undo")]

    def compose_body(self) -> Iterable[Any]:
        yield Input()

    def action_undo(self) -> None:
        self.app.copied.append("undone")  # type: ignore[attr-defined]


class Desk(Bench):
    COMMANDS: ClassVar[set[Any]] = {Actions}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r", "run", "Start [/nope]", id="run.toggle", priority=True),
        Binding("f9", "stop", "Stop", id="run.stop"),
    ]

    def compose(self) -> ComposeResult:
        yield Form()
        yield Loss(id="first")
        yield Loss(id="second")

    def on_mount(self) -> None:
        self.query_one("#first").display = False

    def action_run(self) -> None:
        self.copied.append("run")

    def why_not(self, id_: str) -> str | None:
        return "no run is training" if id_ == "run.stop" else None

    def extra_commands(self) -> Iterable[tuple[str, str, Callable[[], None]]]:
        yield f"theme: [@click=app.quit]{EVIL}", f"[/nope] {EVIL}", lambda: self.copied.append("theme")


def on_a_desk(body: Callable[[Desk, Pilot[Any]], Any]) -> None:
    async def go() -> None:
        app = Desk()
        async with app.run_test(size=(100, 40), notifications=True) as pilot:
            await pilot.pause()
            await body(app, pilot)

    asyncio.run(go())


async def opened(pilot: Pilot[Any]) -> list[str]:
    """Open the palette and return its lines."""
    await pilot.press("ctrl+p")
    options = await gathered(pilot)
    return [str(options.get_option_at_index(n).prompt) for n in range(options.option_count)]


async def chosen(pilot: Pilot[Any], words: str) -> None:
    """Choose what is found by `words`."""
    await opened(pilot)
    await pilot.press(*words.replace(" ", ""))
    options = await gathered(pilot)
    assert words.lower() in str(options.get_option_at_index(0).prompt).lower()
    await pilot.press("enter")
    await until(pilot, lambda: not isinstance(pilot.app.screen, CommandPalette))


def test_everything_is_listed_once_with_its_keys() -> None:
    async def body(app: Desk, pilot: Pilot[Any]) -> None:
        lines = await opened(pilot)
        names = [line.splitlines()[0] for line in lines]
        wanted = {"loss: Logarithmic scale", "loss: Smoothing", "recipe: Undo", "run: Start [/nope]", "run: Stop"}
        assert wanted <= set(names)
        assert len(names) == len(set(names))
        assert names == sorted(
            names, key=lambda name: (not name.startswith("run:"), not name.startswith("recipe:"), name.lower())
        )
        log = next(line for line in lines if "Logarithmic" in line)
        assert "l  of the y axis" in log
        assert any("not now: no run is training" in line for line in lines)
        assert any("[@click=app.quit]" in line for line in lines)
        assert "\x1b" not in screen_text(app)

    on_a_desk(body)


def test_an_action_is_done_in_the_pane_that_is_in_view() -> None:
    async def body(app: Desk, pilot: Pilot[Any]) -> None:
        app.query_one(Input).focus()
        await chosen(pilot, "Logarithmic")
        assert (app.query_one("#first", Loss).done, app.query_one("#second", Loss).done) == (0, 1)

    on_a_desk(body)


def test_what_the_app_adds_is_done() -> None:
    async def body(app: Desk, pilot: Pilot[Any]) -> None:
        await chosen(pilot, "theme")
        assert app.copied == ["theme"]

    on_a_desk(body)


def test_a_name_with_markup_can_be_searched() -> None:
    async def body(app: Desk, pilot: Pilot[Any]) -> None:
        await chosen(pilot, "start")
        assert app.copied == ["run"]

    on_a_desk(body)


def test_what_cannot_be_done_says_why() -> None:
    async def body(app: Desk, pilot: Pilot[Any]) -> None:
        await chosen(pilot, "stop")
        assert app.copied == []
        assert [note.message for note in app._notifications] == ["Stop: no run is training"]

    on_a_desk(body)


def test_the_users_keys_are_the_ones_shown() -> None:
    async def body(app: Desk, pilot: Pilot[Any]) -> None:
        app.set_keymap({"loss.log": "f7,ctrl+l"})
        found = {action.id: action for action in gather(app.screen)}
        assert found["loss.log"].keys == ("f7", "^l")
        assert found["loss.smooth"].keys == ("s",)

    on_a_desk(body)


def test_a_keymap_is_checked_in_words() -> None:
    kinds = (Desk, Form, Loss)
    assert keymap_problems({}, kinds) == []
    assert keymap_problems({"loss.log": "g", "run.stop": "f10"}, kinds) == []
    assert keymap_problems({"loss.long": "g"}, kinds) == ["loss.long is no id of a key"]
    assert keymap_problems({"loss.log": "s"}, kinds) == ["the key s is given to loss.log and to loss.smooth"]
    assert keymap_problems({"loss.log": "s", "loss.smooth": "l"}, kinds) == []
    assert keymap_problems({"loss.log": "ctrl+r"}, kinds) == ["the key ctrl+r is given to run.toggle and to loss.log"]
    assert keymap_problems({"loss.log": "ctrl+r", "run.toggle": "f5"}, kinds) == []
