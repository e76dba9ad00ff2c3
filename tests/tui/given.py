"""A bench for one widget: an app with the product's themes and colours and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from textual.app import App, ComposeResult
from textual.events import Key
from textual.geometry import Size
from textual.message import Message
from textual.pilot import Pilot
from textual.widget import Widget

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
