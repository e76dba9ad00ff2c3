"""Titled panes: a name on a hairline, then rows or widgets."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from textual._context import NoActiveAppError
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.events import Click, DescendantBlur, DescendantFocus
from textual.message import Message
from textual.widget import Widget

from tuitune.tui.kit.drawn import Drawn
from tuitune.tui.kit.rows import R, Row, split, width_of


def title_row(digit: str, label: str, meta: Row, width: int, *, focused: bool, narrow: bool) -> Row:
    """Return a pane's title line; where tabs stand above, they say the name. The last facts give way to the name."""
    ink, line = ("accent b", "accent") if focused else ("strong b", "hair")
    left: Row = []
    if not narrow or not digit:
        number = R("accent b" if focused else "faint", f"{digit} ") if digit else []
        left = [*number, *R(ink, label, "hair", " ")]
    while meta and width_of(left) + 1 + width_of(meta) > width:
        meta = meta[:-1]
    right = [*R("hair", " "), *meta] if meta else []
    return split(left, right, width, "─", line)


class Title(Drawn):
    """The first line of a `Pane`."""

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the line."""
        pane = self.parent
        assert isinstance(pane, Pane)
        narrow = self.screen.has_class("-narrow")
        return [title_row(pane.digit, pane.label, pane.meta, width, focused=pane.has_focus_inside, narrow=narrow)]


class Pane(Vertical):
    """A titled group of widgets; a subclass gives `compose_body`."""

    label: str = ""
    digit: ClassVar[str] = ""
    HELP: ClassVar[str] = ""
    DEFAULT_CSS = "Title { height: 1; }"

    @property
    def meta(self) -> Row:
        """What stands at the right end of the title line: facts, no decoration."""
        return []

    def compose(self) -> ComposeResult:
        """Put the title above the body."""
        yield Title()
        yield from self.compose_body()

    def compose_body(self) -> Iterable[Widget]:
        """Yield what stands below the title."""
        return ()

    def post_message(self, message: Message) -> bool:
        """Post a message; of a thread that outlives the pane's screen nobody hears any more."""
        try:
            return super().post_message(message)
        except NoActiveAppError:  # a thread finds the app by the parents, and they are gone
            return False

    @property
    def has_focus_inside(self) -> bool:
        """Whether the keys go to this pane."""
        focused = self.screen.focused if self.is_attached else None
        return focused is not None and (focused is self or self in focused.ancestors)

    def retitle(self) -> None:
        """Draw the title line again."""
        for title in self.query_children(Title):
            title.redraw()

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Show that the keys come here."""
        self.retitle()

    def on_descendant_blur(self, event: DescendantBlur) -> None:
        """Show that they do not any more."""
        self.call_after_refresh(self.retitle)

    def focus_first(self) -> None:
        """Give the keys to the widget of this pane that should have them first."""
        for widget in self.query("*"):
            if widget.focusable:
                widget.focus()
                return


class DrawnPane(Drawn, can_focus=True):
    """A titled pane whose body is rows; a subclass gives `body`."""

    label: str = ""
    digit: ClassVar[str] = ""
    HELP: ClassVar[str] = ""

    @property
    def meta(self) -> Row:
        """What stands at the right end of the title line: facts, no decoration."""
        return []

    def body(self, width: int, height: int) -> list[Row]:
        """Return the rows below the title."""
        return []

    def rows(self, width: int, height: int) -> list[Row]:
        """Return title and body."""
        narrow = self.screen.has_class("-narrow")
        title = title_row(self.digit, self.label, self.meta, width, focused=self.has_focus, narrow=narrow)
        return [title, *self.body(width, height - 1)]

    def watch_has_focus(self, _has_focus: bool) -> None:
        """Show whether the keys come here."""
        super().watch_has_focus(_has_focus)
        if self.is_mounted:
            self.redraw()

    def focus_first(self) -> None:
        """Take the keys."""
        self.focus()

    def on_click(self, event: Click) -> None:
        """Take the keys where the mouse asks for it."""
        self.focus()


def redraw_panes(screen: Widget) -> None:
    """Draw the panes of a screen anew, with their titles, such as in another size."""
    for pane in screen.query("Pane, DrawnPane"):
        if isinstance(pane, Pane):
            pane.retitle()
        elif isinstance(pane, DrawnPane):
            pane.redraw()
