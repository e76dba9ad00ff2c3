"""The frame of a question, the only frame there is: in the middle, on the raised ground, never wider than one reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.color import Color
from textual.containers import Vertical
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.widget import Widget

from tuitune.text import clean_line
from tuitune.tui.kit.drawn import Drawn
from tuitune.tui.kit.rows import R, Row, cut, split, width_of
from tuitune.tui.kit.wrapping import wrapped

T = TypeVar("T")

_ANY = 10_000
_LOW = 20  # rows of a screen below which the frame gives up its air


def room(viewport: Size) -> int:
    """Return the rows that fit into a box on such a screen."""
    return max(1, viewport.height - (2 if viewport.height < _LOW else 4))


class Box(Vertical):
    """The frame; it is as high as what it holds, and never higher than the screen."""

    DEFAULT_CSS = """
    Box {
        width: 72; max-width: 100%; height: auto; max-height: 100%;
        background: $surface; border: round $accent; padding: 1 2;
    }
    Box.-ascii { border: ascii $accent; }
    """


class Boxed(ModalScreen[T | None]):
    """A screen with one box over what is below it; escape answers None."""

    DEFAULT_CSS = """
    Boxed { align: center middle; }
    Boxed.-low Box { padding: 0 2; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Leave the question", id="dialog.cancel", tooltip="nothing is done"),
    ]
    VERTICAL_BREAKPOINTS = [(0, "-low"), (_LOW, "-high")]  # noqa: RUF012

    def compose(self) -> ComposeResult:
        """Put the content into the box."""
        with Box(classes="-ascii" if getattr(self.app, "ascii_glyphs", False) else None):
            yield from self.content()

    def on_mount(self) -> None:
        """Let what lies below shine through: by hand, for what an app's CSS says of Screen beats any default."""
        ground = self.app.theme_variables["background"]
        self.styles.background = Color.parse(ground).with_alpha(0.6 if not self.app.current_theme.ansi else 0.0)

    def content(self) -> Iterable[Widget]:
        """Yield what stands in the box."""
        return ()

    def answer(self, value: T | None) -> None:
        """Give the answer and leave; a second key that was pressed in the meantime changes nothing."""
        if self.is_active:
            self.dismiss(value)

    def action_cancel(self) -> None:
        """Answer nothing."""
        self.answer(None)


class Lines(Drawn):
    """Rows that are as high as they need to be."""

    DEFAULT_CSS = "Lines { height: auto; width: 1fr; }"

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return the rows there are at this width."""
        return min(len(self.rows(width, _ANY)), room(viewport))


class Says(Lines):
    """A question and its facts."""

    def __init__(self, question: str, facts: Iterable[str] = (), *, id: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id)
        self._question, self._facts = question, tuple(facts)

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the question, then the facts."""
        return asked(self._question, self._facts, width)


def asked(question: str, facts: Iterable[str], width: int) -> list[Row]:
    """Return a question and its facts in rows of so many cells, with a blank row after each."""
    rows = [R("strong b", line) for line in wrapped(clean_line(question), width)]
    told = [R("ink", line) for fact in facts for line in wrapped(clean_line(fact), width)]
    return [*rows, [], *told, *([[]] if told else [])]


def choice_row(left: Row, note: str, width: int, chosen: bool) -> Row:
    """Return one line of a list: the note gives way to the left part, and both to the width."""
    ground = " on sel" if chosen else ""
    space = width - width_of(left) - 3
    note = cut(note, space) if space > 3 else ""
    return split(left, R(f"quiet{ground}", f"{note} " if note else ""), width, " ", f"ink{ground}")
