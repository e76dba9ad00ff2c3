"""A bench for one widget: an app with the product's themes and colours and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from textual.app import App, ComposeResult
from textual.command import CommandPalette
from textual.events import Key
from textual.geometry import Size
from textual.message import Message
from textual.pilot import Pilot
from textual.widget import Widget
from textual.widgets import OptionList

from tuitune.tui.picker import Picker
from tuitune.tui.theme import load_themes, role_defaults

CSS = "Screen { background: $background; color: $ink; }"


class Bench(App[Any]):
    """Shows `widgets`; messages that reach the app are kept in `heard`."""

    CSS = CSS
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (100, "-two"), (136, "-three")]  # noqa: RUF012
    VERTICAL_BREAKPOINTS = [(0, "-short"), (46, "-tall")]  # noqa: RUF012
    ascii_glyphs = False

    def __init__(self, *widgets: Widget, theme: str = "night", css: str = "") -> None:
        self.widgets = widgets
        self.heard: list[Message] = []
        self.copied: list[str] = []
        if css:
            self.CSS = CSS + css
        super().__init__()
        for each in load_themes()[0]:
            self.register_theme(each)
        self.theme = theme

    def get_theme_variable_defaults(self) -> dict[str, str]:
        return role_defaults()

    def compose(self) -> ComposeResult:
        yield from self.widgets

    def copy(self, text: str) -> None:
        self.copied.append(text)

    def on_model_chosen(self, message: Message) -> None:
        self.heard.append(message)

    on_adapter_chosen = on_chat_with = on_ask_device = on_model_chosen


def bench(*widgets: Widget, theme: str = "night", css: str = "") -> Bench:
    """Return an app that shows the widgets."""
    return Bench(*widgets, theme=theme, css=css)


async def typed(pilot: Pilot[Any], *keys: str) -> None:
    """Press keys one behind the other without a wait for an idle app, which one that shows a training never is.

    Letters overtake a key that is bound to something: such a key goes last.
    """
    await pilot.pause(0)
    for key in keys:
        pilot.app.post_message(Key(key, key if len(key) == 1 else None))
    await pilot.pause(0)


async def until(pilot: Pilot[Any], what: Callable[[], object], seconds: float = 60.0) -> None:
    """Let the app work until something is so, and what follows from it is drawn."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came:\n" + screen_text(pilot.app)
        await pilot.pause(0.05)
    if not pilot.app._exit:
        await pilot.pause()


async def gathered(pilot: Pilot[Any]) -> OptionList:
    """Wait until the open palette lists all that it found for what is typed, and return the list."""

    def there() -> bool:
        of_it = [each for each in pilot.app.workers if each.group == CommandPalette._GATHER_COMMANDS_GROUP]
        return isinstance(pilot.app.screen, CommandPalette) and all(each.is_finished for each in of_it)

    await until(pilot, lambda: there() and pilot.app.screen.query_one(OptionList).option_count)
    return pilot.app.screen.query_one(OptionList)


def offered(app: App[Any]) -> bool:
    """Return whether a list to choose from is open, with what there is in it."""
    return isinstance(app.screen, Picker) and app.screen.known


def screen_text(app: App[Any]) -> str:
    """Return what the screen shows, one line of text per row."""
    size = Size(*app.size)
    lines = app.screen._compositor.render_strips(size)
    return "\n".join(strip.text.rstrip() for strip in lines)


def rows_text(rows: Iterable[list[tuple[str, str]]]) -> list[str]:
    """Return rows without their roles."""
    return ["".join(text for text, _ in row).rstrip() for row in rows]
