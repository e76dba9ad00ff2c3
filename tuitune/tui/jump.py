"""Jump mode: one key at every place on the screen, and one for every other screen; pressing it goes there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.content import Content
from textual.events import Click, Key, Resize
from textual.geometry import Offset, Size
from textual.screen import ModalScreen, Screen
from textual.widget import Widget
from textual.widgets import Static

from tuitune.text import clean_line
from tuitune.tui.actions import in_view
from tuitune.tui.kit.drawn import Drawn
from tuitune.tui.kit.pane import DrawnPane, Pane
from tuitune.tui.kit.rows import R, Row, width_of
from tuitune.tui.screens.table import PLACES, Place, kind_of

# The home row first: these are under the fingers.
_LETTERS = "asdfghjklqwertyuiopzxcvbnm"


@dataclass(frozen=True, slots=True)
class Target:
    """A place to go to, the key that goes there, and where on the screen it stands."""

    key: str
    widget: Widget
    at: Offset


def targets(screen: Screen[object], *, kept: str = "") -> list[Target]:
    """Return the places that can be seen on a screen: panes by their digits, the others by a letter.

    kept: letters that belong to something else.
    """
    found = list(_places(screen))
    digits = {widget: str(getattr(widget, "digit", "")) for widget, _ in found}
    taken = {*kept, *(digit for digit in digits.values() if digit)}
    letters = iter(letter for letter in (*_LETTERS, *_LETTERS.upper()) if letter not in taken)
    keys: dict[str, Target] = {}
    for widget, at in found:
        wanted = (digits[widget], *_initials(widget))
        key = next((each for each in wanted if each and each not in keys and each not in kept), None)
        key = key or next((letter for letter in letters if letter not in keys), None)
        if key is None:
            break  # more places than letters: the last ones stay without
        keys[key] = Target(key, widget, at)
    return list(keys.values())


def _places(screen: Screen[object]) -> Iterator[tuple[Widget, Offset]]:
    for widget in screen.walk_children(Widget):
        wanted = isinstance(widget, Pane | DrawnPane) or bool(getattr(widget, "jump_label", ""))
        if wanted and in_view(widget) and not widget.disabled:
            region = widget.region.intersection(screen.region)
            if region.area and _seen(screen, widget):
                yield widget, region.offset


def _seen(screen: Screen[object], widget: Widget) -> bool:
    """Return whether the first cell of a widget is in view, and not scrolled away."""
    clip = screen.region
    for parent in widget.ancestors:
        if isinstance(parent, Widget) and parent is not screen:
            clip = clip.intersection(parent.region)
    return clip.contains_point(widget.region.offset)


def _initials(widget: Widget) -> str:
    return "".join(
        letter for letter in clean_line(str(getattr(widget, "jump_label", ""))).lower()[:1] if letter in _LETTERS
    )


class Letter(Static):
    """The key of one place, on the place."""

    DEFAULT_CSS = """
    Letter { width: 3; height: 1; position: absolute; color: $accent; background: $sel; text-style: bold; }
    Letter:ansi { background: ansi_default; text-style: bold reverse; }
    """

    def __init__(self, target: Target) -> None:
        super().__init__(Content(f" {target.key} "))
        self.target = target

    def on_mount(self) -> None:
        """Stand where the place begins."""
        self.styles.offset = (self.target.at.x, self.target.at.y)

    def on_click(self, event: Click) -> None:
        """Go there."""
        if isinstance(self.screen, JumpScreen):
            self.screen.go(self.target)


class Elsewhere(Drawn):
    """The other screens with their letters, on the last line of the screen."""

    DEFAULT_CSS = """
    Elsewhere { width: 100%; height: 1; dock: bottom; padding: 0 2; background: $sel; }
    Elsewhere:ansi { background: ansi_default; }
    """

    def __init__(self, places: Sequence[Place]) -> None:
        super().__init__()
        self._shown_places = places

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the letters; where there is little room, the first letters of the titles must do."""
        gaps = next((gap for gap in ("   ", "  ", " ") if width_of(self._row(gap)) <= width), " ")
        return [self._row(gaps)]

    def _row(self, gap: str) -> Row:
        return [span for place in self._shown_places for span in self._entry(place, gap)]

    def _entry(self, place: Place, gap: str) -> Row:
        return R("accent b", place.letter, "ink", f" {place.title}{gap}")

    def on_click(self, event: Click) -> None:
        """Open the screen under the mouse."""
        at = event.get_content_offset_capture(self).x
        gap = next((gap for gap in ("   ", "  ", " ") if width_of(self._row(gap)) <= self.content_size.width), " ")
        for place in self._shown_places:
            at -= width_of(self._entry(place, gap))
            if at < 0 and isinstance(self.screen, JumpScreen):
                self.screen.open(place)
                return


class JumpScreen(ModalScreen[None]):
    """A key at each target and for each screen; any other key leaves."""

    DEFAULT_CSS = "JumpScreen { align: left top; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,ctrl+o", "leave", "Leave", id="jump.leave", tooltip="stay where you are", priority=True),
    ]

    def __init__(self, found: Sequence[Target], places: Sequence[Place] = ()) -> None:
        super().__init__()
        self.targets, self.places = list(found), list(places)
        self._size_first: Size | None = None

    @classmethod
    def over(cls, screen: Screen[object]) -> JumpScreen:
        """Return the jump mode for what a screen shows now."""
        # Only the app knows how to open them; a bench of a test has none.
        places = (
            [place for place in PLACES if kind_of(screen) != place.name] if hasattr(screen.app, "show_screen") else []
        )
        return cls(targets(screen, kept="".join(place.letter for place in places)), places)

    def compose(self) -> ComposeResult:
        """Show a letter at each target."""
        for target in self.targets:
            yield Letter(target)
        if self.places:
            yield Elsewhere(self.places)

    def on_mount(self) -> None:
        """Dim what lies below; by hand, for what an app's CSS says of Screen beats any default."""
        ground = Color.parse(self.app.theme_variables["background"])
        self.styles.background = ground.with_alpha(0.0 if self.app.current_theme.ansi else 0.45)

    def on_key(self, event: Key) -> None:
        """Go to the place whose key it is."""
        event.stop()
        target = next((each for each in self.targets if each.key == event.character), None)
        place = next((each for each in self.places if each.letter == event.character), None)
        if target is not None:
            self.go(target)
        elif place is not None:
            self.open(place)
        else:
            self.action_leave()

    def on_resize(self, event: Resize) -> None:
        """Leave when the places move."""
        if self._size_first is None:
            self._size_first = event.size
        elif self._size_first != event.size:
            self.action_leave()

    def go(self, target: Target) -> None:
        """Leave, and give the keys to the place."""
        self.action_leave()
        first = getattr(target.widget, "focus_first", None)
        self.app.call_after_refresh(first if callable(first) else target.widget.focus)

    def open(self, place: Place) -> None:
        """Leave, and open another screen."""
        self.action_leave()
        show: Callable[[str], None] = self.app.show_screen  # type: ignore[attr-defined]
        self.app.call_after_refresh(show, place.name)

    def action_leave(self) -> None:
        """Leave, and go nowhere."""
        if self.is_active:
            self.dismiss(None)
