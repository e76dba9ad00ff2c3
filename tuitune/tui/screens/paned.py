"""What the screens beside the Workbench share: panes that stand side by side, or one at a time behind tabs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.events import DescendantFocus, Resize
from textual.screen import Screen

from tuitune.tui.actions import in_view
from tuitune.tui.kit.bound import Key, bound
from tuitune.tui.kit.pane import DrawnPane, Pane, redraw_panes
from tuitune.tui.kit.sized import fit_in_time
from tuitune.tui.panes.options import OptionsPane
from tuitune.tui.status import Tabs

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune
    from tuitune.tui.optiondraft import OptionDraft

_LEAST_WIDTH = 100  # cells below which one pane shows at a time


def bindings(prefix: str, tabs: Sequence[tuple[str, str, str]], keys: Sequence[Key]) -> list[BindingType]:
    """Return the bindings of a screen: a digit for each pane, whose id begins with `prefix`, and its own keys."""
    panes = [
        Binding(digit, f"pane('{name}')", f"{label} pane", show=False, id=f"{prefix}{name}", tooltip=f"go to {label}")
        for name, digit, label in tabs
    ]
    return [*panes, *bound(keys)]


class PanedScreen(Screen[None]):
    """A screen of panes, each of the classes `<name> place`; `TABS` names them, with their digits and words.

    Where each stands is told by the style sheet from the classes -one (one pane alone) and -active (the pane whose tab
    is chosen).
    """

    VERTICAL_BREAKPOINTS = [(0, "-low"), (32, "-middle"), (46, "-tall")]  # noqa: RUF012
    TABS: ClassVar[Sequence[tuple[str, str, str]]] = ()
    if TYPE_CHECKING:
        app: TuiTune

    def __init__(self, tab: str) -> None:
        super().__init__()
        self.tab, self.zoomed = tab, False

    def on_mount(self) -> None:
        """Stand right from the first sight on."""
        fit_in_time(self)

    @property
    def narrow(self) -> bool:
        """Whether there is room for one pane only."""
        return self.size.width < _LEAST_WIDTH

    @property
    def left(self) -> bool:
        """Whether it was left, or the app ends, before it was laid out: then its panes are not there."""
        return self not in self.app.screen_stack or not self.query(Tabs)

    def on_resize(self, event: Resize) -> None:
        """Choose what fits."""
        if self.left:
            return
        self.place_panes()
        self.call_after_refresh(redraw_panes, self)

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Bring the pane with the keys to the front where not all of them show."""
        for name, _, _ in self.TABS:
            pane = self.pane(name)
            if name != self.tab and (event.widget is pane or pane in event.widget.ancestors):
                self.tab = name
                self.place_panes()
        self.app.note_focus()

    def pane(self, name: str) -> Pane | DrawnPane:
        """Return a pane by the name of its tab."""
        found = self.query_one(f".{name}.place")
        assert isinstance(found, Pane | DrawnPane)
        return found

    def place_panes(self) -> None:
        """Tell the style sheet what shows where."""
        self.set_class(self.narrow or self.zoomed, "-one")
        for name, _, _ in self.TABS:
            for place in self.query(f".{name}.place"):
                place.set_class(name == self.tab, "-active")
        self.stand()
        self.query_one(Tabs).show(self.tab)

    def stand(self) -> None:
        """Set the classes that only this screen has."""

    def action_pane(self, name: str) -> None:
        """Go to a pane."""
        shown, self.tab = in_view(self.pane(name)), name
        self.place_panes()
        if shown:
            self.give_keys(name)  # at once: the next key may be on its way
        else:
            self.call_after_refresh(self.give_keys, name)

    def give_keys(self, name: str) -> None:
        """Let a pane have the keys."""
        self.pane(name).focus_first()

    def on_tabs_chosen(self, message: Tabs.Chosen) -> None:
        """Go to the tab that was clicked."""
        self.action_pane(message.name)

    def action_zoom(self) -> None:
        """Show the pane with the keys alone, or all of them again."""
        if self.narrow:
            self.app.say(f"one pane shows at a time here; 1 to {len(self.TABS)} change it")
            return
        self.zoomed = not self.zoomed
        self.place_panes()

    def action_back(self) -> None:
        """End the zoom, else leave."""
        if self.zoomed and not self.narrow:
            self.action_zoom()
        else:
            self.app.pop_screen()

    def settings_ready(self, options: OptionDraft) -> bool:
        """Return whether the settings are good; what is wrong is said and shown."""
        if not options.wrong:
            return True
        wrong = options.wrong[0]
        self.app.say(f"the settings are not ready: {wrong}", "error")
        self.action_pane("options")
        self.query_one(OptionsPane).go_to(wrong.key)
        return False
