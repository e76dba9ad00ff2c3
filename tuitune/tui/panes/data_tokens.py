"""The Tokens pane: one example token by token, with what is trained marked, and a cursor that tells about a token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.events import Click, MouseScrollDown, MouseScrollUp

from tuitune.text import clean, clean_line
from tuitune.tui.kit.bound import bound
from tuitune.tui.kit.pane import DrawnPane
from tuitune.tui.kit.rows import R, Row, split
from tuitune.tui.kit.wrapping import wrapped
from tuitune.tui.panes.data_drawn import Look, drawn, legend, told
from tuitune.tui.panes.data_moves import leap, next_line, next_trained
from tuitune.tui.panes.data_page import At, Cell, Page

if TYPE_CHECKING:
    from tuitune.data.look_side import Side
    from tuitune.data.look_view import View
    from tuitune.tui.app import TuiTune

_WHEEL = 3
_ROOMY = 20  # rows of the body from which on blank lines part the turns
_WITH_KEYS = 60  # cells of the title from which on it names keys
_BESIDE = 100  # columns of the screen from which on two answers stand next to each other
_KEYS = (
    ("up,k", "line(-1)", "Up", "data.up", "the token above"),
    ("down,j", "line(1)", "Down", "data.down", "the token below"),
    ("left,h", "step(-1)", "Token before", "data.left", "the token before"),
    ("right,l", "step(1)", "Token after", "data.right", "the token after"),
    ("pageup", "page(-1)", "Page up", "data.pageup", "a page up"),
    ("pagedown,space", "page(1)", "Page down", "data.pagedown", "a page down"),
    ("home,g", "edge(0)", "First token", "data.first", "the first token"),
    ("end,G", "edge(1)", "Last token", "data.last", "the last token"),
    ("u", "trained", "Next trained", "data.trained", "the next stretch of trained tokens"),
    ("y", "copy", "Copy", "data.copy", "copy the text of the example"),
)


@dataclass(frozen=True, slots=True)
class Note:
    """Words to show in place of an example, or above it: what is wrong, or how far something is."""

    text: str
    role: str = "quiet"


class TokensPane(DrawnPane):
    """Shows an example; `notes` stand above it."""

    label = "Tokens"
    digit = "2"
    HELP = """
# Tokens

One example as the model sees it, token by token: every second token is tinted. **Trained tokens are in the accent
colour and bold** (underlined where there are few colours), special tokens are in blue, the rest is context. `↵` is a
line end, `·` a blank, `⇥` a tab, `▫` a token that holds only a part of a character.

- **n** **p** the next and the previous example of the list, **!** the next one with a problem
- **left** **right** **up** **down** move over the tokens; the line below tells id, text and what is done with it
- **u** the next stretch of trained tokens
- **t** as text, without marks and tints; **i** with the id below every token
- **e** the rows that are held back for evaluation, **b** packs or batches
- **y** copies the text of the example

Two answers to one prompt stand beside each other where there is room; their prompt is computed once.
"""
    BINDINGS: ClassVar[list[BindingType]] = bound(_KEYS)
    if TYPE_CHECKING:
        app: TuiTune

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.prose = self.ids = False
        self.notes: list[Note] = []
        self._side: Side | None = None
        self._view: View | None = None
        self._words: list[Note] = []
        self._page: Page | None = None
        self._at, self._top, self._above = At(0, 0), 0, 0
        self._counts, self._which = (0, 0, 0), ""

    @property
    def meta(self) -> Row:
        """Which example it is, and the keys that go to others."""
        if self._view is None:
            return []
        keys = R("accent", "   n p", "quiet", " row   ", "accent", "!", "quiet", " next problem")
        return [*R("strong b", self._which), *(keys if self.content_size.width >= _WITH_KEYS else [])]

    def show(self, side: Side | None, place: int | None, words: list[Note]) -> None:
        """Show an example, and what is to be said about it; None shows the notes only."""
        self._side = side
        self._view = None if side is None or place is None else side.view(place)
        self._words, self._page, self._top = words, None, 0
        self._which = ""
        if self._view is not None:
            strands = self._view.strands
            trained = sum(strand.trained for strand in strands)
            marks = sum(strand.marks for strand in strands)
            self._counts = (trained, self._view.tokens - trained - marks, marks)
            self._which = self._named(self._view)
        self._at = self._fresh(self.content_size.width, self.content_size.height).first if self._view else At(0, 0)
        self.redraw()

    def _named(self, view: View) -> str:
        if self._side is not None and self._side.packs is not None and self._side.several:
            return f"pack {view.place + 1:,}"
        return clean_line(view.origin).rpartition("/")[2] or f"example {view.place + 1:,}"

    def say(self, notes: list[Note]) -> None:
        """Show notes above the example."""
        if notes != self.notes:
            self.notes = notes
            self.redraw()

    def set_look(self, *, prose: bool | None = None, ids: bool | None = None) -> None:
        """Show as text, or with ids, or not any more."""
        self.prose = self.prose if prose is None else prose
        self.ids = self.ids if ids is None else ids
        self._page = None
        self.redraw()

    # -- drawing -----------------------------------------------------------------------------------------------

    def _fresh(self, width: int, height: int) -> Page:
        """Return the page of the present example, made anew where the room for it has changed."""
        assert self._view is not None
        if self._page is None or self._page.width != width:
            self._page = Page(
                self._view, max(8, width), prose=self.prose, ids=self.ids and not self.prose,
                gaps=height >= _ROOMY, beside=self.app.size.width >= _BESIDE,
            )  # fmt: skip
        return self._page

    def body(self, width: int, height: int) -> list[Row]:
        """Return the notes, the lines around the cursor, and what is known of its token."""
        above = self._notes_rows(width)
        self._above = len(above) + 1
        if self._view is None:
            return above
        page = self._fresh(width, height)
        foot = self._foot(width) if height >= 10 else []
        room = max(1, height - len(above) - len(foot))
        self._scroll(page, room)
        rows = []
        for number in range(self._top, self._top + room):
            cells = page.row(number)
            if cells is None:
                break
            rows.append(self._drawn(cells))
        return [*above, *rows, *([] for _ in range(room - len(rows))), *foot]

    def _notes_rows(self, width: int) -> list[Row]:
        notes = [*self.notes, *self._words]
        rows = [R(note.role, line) for note in notes for line in wrapped(clean(note.text), width)]
        return [*rows, []] if rows else []

    def _scroll(self, page: Page, room: int) -> None:
        here = page.find(self._at)
        # What stands above the first line, such as a title, is seen with it.
        self._top = 0 if here < min(room, 3) else max(min(self._top, here), here - room + 1, 0)

    def _drawn(self, cells: list[Cell]) -> Row:
        few = bool(self.app.current_theme.ansi) or self.app.no_color
        return drawn(cells, Look(self._at, few, self.prose, self.ids and not self.prose))

    def _foot(self, width: int) -> list[Row]:
        view, page = self._view, self._page
        assert view is not None
        token = page.token(self._at) if page is not None else None
        here = told(token, view.blocks[self._at.block].strand) if token is not None else []
        limit = self._side.setting.cutoff_len if self._side is not None else 0
        of = f" of {limit:,} tokens" if len(view.strands) == 1 else " tokens"
        return [[], here, split(legend(self._counts), R("strong b", f"{view.tokens:,}", "quiet", of), width)]

    # -- what keys and the mouse do ----------------------------------------------------------------------------

    def _go(self, at: At | None) -> None:
        if at is not None and at != self._at:
            self._at = at
            self.redraw()

    def action_step(self, by: int) -> None:
        """Go so many tokens further."""
        if self._page is not None:
            self._go(self._page.step(self._at, by))

    def action_line(self, by: int) -> None:
        """Go to the nearest line above or below that has tokens."""
        if self._page is not None:
            self._go(next_line(self._page, self._at, by))

    def action_page(self, by: int) -> None:
        """Go a page up or down."""
        if self._page is not None:
            self._go(leap(self._page, self._at, by * max(1, self.content_size.height - 6)))

    def action_edge(self, end: int) -> None:
        """Go to the first or the last token."""
        if self._page is not None:
            self._go(self._page.last if end else self._page.first)

    def action_trained(self) -> None:
        """Go to the next stretch of trained tokens."""
        at = next_trained(self._view, self._at) if self._view is not None else None
        if at is None:
            self.app.say("no trained tokens follow" if self._view is not None else "there is no example here")
        self._go(at)

    def action_copy(self) -> None:
        """Copy the text of the example."""
        if self._view is not None and self._side is not None:
            texts = [self._side.pieces.text(strand.ids.tolist()) for strand in self._view.strands]
            self.app.copy(clean("\n\n".join(texts)))

    def on_click(self, event: Click) -> None:
        """Put the cursor on a token."""
        self.focus()
        if self._page is not None:
            self._go(self._page.under(event.x - self.gutter.left, self._top + event.y - self.gutter.top - self._above))

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Go down."""
        event.stop()
        for _ in range(_WHEEL):
            self.action_line(1)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Go up."""
        event.stop()
        for _ in range(_WHEEL):
            self.action_line(-1)
