"""The YAML view: the text, the form beside it, and the command that does the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen

from tuitune.tui.keys import KeysLine
from tuitune.tui.kit.sized import fit_in_time
from tuitune.tui.panes.fitbar import FitBar
from tuitune.tui.panes.recipe import RecipePane
from tuitune.tui.panes.yaml import CommandPane, YamlPane
from tuitune.tui.status import Status

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune


class YamlScreen(Screen[None]):
    """Text and form of one recipe, in step."""

    CSS_PATH = "yaml.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "app.recipe_text", "Back", id="yaml.back", show=False)]
    if TYPE_CHECKING:
        app: TuiTune

    def compose(self) -> ComposeResult:
        """Put the text where loss and chat were."""
        draft = self.app.draft
        yield Status(draft)
        with Horizontal(id="bench"):
            with Vertical(id="hero", classes="col"):
                yield YamlPane(draft)
                yield CommandPane(draft)
            with Vertical(id="side", classes="col recipe"):
                yield RecipePane(draft)
                yield FitBar()
        yield KeysLine(id="keys")

    def on_mount(self) -> None:
        """Stand right from the first sight on, and begin in the text."""
        fit_in_time(self)
        self.query_one(YamlPane).focus_first()
        self.call_after_refresh(self.app.refit)
