"""The Workbench: model, recipe, loss, chat, GPU and log, all at once where there is room."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.events import DescendantFocus, Resize
from textual.screen import Screen
from textual.widget import Widget

from tuitune.tui.keys import KeysLine
from tuitune.tui.kit.pane import DrawnPane, Pane, redraw_panes
from tuitune.tui.kit.sized import fit_in_time
from tuitune.tui.panes.answers import AnswersPane
from tuitune.tui.panes.chat import ChatPane
from tuitune.tui.panes.fitbar import FitBar
from tuitune.tui.panes.gpu import GpuPane
from tuitune.tui.panes.log import LogPane
from tuitune.tui.panes.loss import LossPane
from tuitune.tui.panes.models import ModelPane
from tuitune.tui.panes.recipe import RecipePane
from tuitune.tui.status import Status, Tabs

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

TABS = (
    ("models", "1", "Model"),
    ("recipe", "2", "Recipe"),
    ("loss", "3", "Loss"),
    ("chat", "4", "Chat"),
    ("gpu", "5", "GPU"),
    ("log", "6", "Log"),
    ("answers", "7", "Answers"),
)
_BELOW = ("chat", "answers")  # share the place below the curve


class Workbench(Screen[None]):
    """Three columns, two with the device at the foot of the left one, or one pane at a time with tabs."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(digit, f"pane('{name}')", f"{label} pane", show=False, id=f"pane.{name}", tooltip=f"go to {label}")
            for name, digit, label in TABS
        ),
        Binding("z,f2", "zoom", "Zoom", show=False, id="pane.zoom", tooltip="this pane alone, or all of them again"),
        Binding("escape", "leave", "Back", show=False, id="pane.back", tooltip="end the zoom"),
        Binding("c", "pane('chat')", "Ask", show=False, id="chat.focus", tooltip="go to the prompt of the chat"),
    ]
    if TYPE_CHECKING:
        app: TuiTune

    def __init__(self) -> None:
        super().__init__()
        self._tab = "loss"
        self._zoomed = False
        self._below = "chat"

    def compose(self) -> ComposeResult:
        """Lay out the panes; what is seen where is told by classes and the style sheet."""
        app = self.app
        yield Status(app.draft)
        yield Tabs(TABS[:-1])
        with Horizontal(id="bench"):
            with Vertical(id="left", classes="col"):
                yield ModelPane(classes="models place")
                with Vertical(classes="recipe place"):
                    yield RecipePane(app.draft)
                    yield FitBar()
                yield GpuPane(classes="gpu foot")
            with Vertical(id="hero", classes="col"):
                yield LossPane(classes="loss place")
                yield ChatPane(app.partners, classes="chat place")
                yield AnswersPane(classes="answers place")
            with Vertical(id="right", classes="col"):
                yield GpuPane(classes="gpu place")
                yield LogPane(classes="log place")
        yield KeysLine(id="keys")

    def on_mount(self) -> None:
        """Stand right from the first sight on, and begin where the work begins."""
        fit_in_time(self)
        self._arrange()
        self.app.set_liked(self.query_one(LossPane), self.query_one(ChatPane))
        self.query_one(RecipePane).focus_first()

    @property
    def narrow(self) -> bool:
        """Whether there is room for one pane only."""
        return self.size.width < 100

    def on_resize(self, event: Resize) -> None:
        """Choose what fits."""
        self._arrange()
        self.call_after_refresh(redraw_panes, self)

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Bring the pane with the keys to the front where only one shows."""
        for name, _, _ in TABS:
            if any(event.widget is place or place in event.widget.ancestors for place in self._places(name)):
                if name != self._tab:
                    self._tab = name
                    self._arrange()
                break
        self.app.note_focus()

    def _places(self, name: str) -> Iterator[Widget]:
        yield from self.query(f".{name}.place")
        if name == "gpu":
            yield from self.query(".gpu.foot")

    def _arrange(self) -> None:
        one = self.narrow or self._zoomed
        self._below = self._tab if self._tab in _BELOW else self._below
        self.set_class(one, "-one")
        self.set_class(self._below == "answers", "-answers")
        for place in self.query(".place"):
            place.set_class(place.has_class(self._tab), "-active")
        for column in self.query(".col"):
            column.set_class(bool(column.query(".place.-active")), "-active")
        self.query_one("#left > .foot").display = self.size.width >= 100 and self.size.width < 136 and not one
        if self.size.width < 136 and self._tab == "log" and not one:
            self._show_alone("log")
        self.query_one(Tabs).show(self._tab)

    def offer_answers(self, there: bool) -> None:
        """Show the tab of the answers where the run has some, or will."""
        for tabs in self.query(Tabs):  # none before the screen is laid out
            tabs.offer(TABS if there or self._tab == "answers" else TABS[:-1])

    def _show_alone(self, name: str) -> None:
        # With two columns the log has no place of its own: it waits behind its key.
        self._zoomed = True
        self._arrange()

    def action_pane(self, name: str) -> None:
        """Go to a pane; where it has no place, it shows alone."""
        if self._zoomed and not self.narrow:
            self._zoomed = False
        self._tab = name
        self._arrange()
        self.call_after_refresh(self._focus, name)

    def _focus(self, name: str) -> None:
        for place in self._places(name):
            panes = [place] if isinstance(place, Pane | DrawnPane) else list(place.query("Pane, DrawnPane"))
            pane = next((each for each in panes if isinstance(each, Pane | DrawnPane)), None)
            if pane is not None and pane.region.area and pane.display:
                pane.focus_first()
                return

    def action_zoom(self) -> None:
        """Show the pane with the keys alone, or all of them again."""
        if self.narrow:
            self.app.say("one pane shows at a time here; 1 to 6 change it")
            return
        self._zoomed = not self._zoomed
        self._arrange()

    def action_leave(self) -> None:
        """End the zoom."""
        if self._zoomed and not self.narrow:
            self._zoomed = False
            if self._tab == "log" and self.size.width < 136:
                self._tab = "loss"
                self.call_after_refresh(self._focus, "loss")
            self._arrange()

    def on_tabs_chosen(self, message: Tabs.Chosen) -> None:
        """Go to the tab that was clicked."""
        self.action_pane(message.name)
