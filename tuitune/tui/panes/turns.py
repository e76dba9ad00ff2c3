"""The turns of a conversation on the screen, scrolled and selected."""

from __future__ import annotations

from rich.cells import cell_len
from textual import events
from textual.binding import Binding
from textual.message import Message
from textual.selection import Selection
from textual.strip import Strip

from tuitune.tui.kit.drawn import Drawn
from tuitune.tui.kit.rows import R, Row
from tuitune.tui.panes.blocks import MARGIN, Block, drawn, growing
from tuitune.tui.panes.markdown import Growing

_AIRY = 16  # rows from which turns stay apart even where not all of them fit


class Transcript(Drawn, can_focus=True):
    """The turns, the newest at the foot; scrolled by rows, and it follows what is written unless it was scrolled up."""

    DEFAULT_CSS = "Transcript { height: 1fr; }"
    BINDINGS = [  # noqa: RUF012
        Binding("up,k", "scroll(1)", "Earlier", show=False, id="chat.up", tooltip="one row up"),
        Binding("down,j", "scroll(-1)", "Later", show=False, id="chat.down", tooltip="one row down"),
        Binding("pageup", "scroll(10)", "Far earlier", show=False, id="chat.page_up", tooltip="ten rows up"),
        Binding("pagedown", "scroll(-10)", "Far later", show=False, id="chat.page_down", tooltip="ten rows down"),
        Binding("home", "scroll(1000000)", "First", show=False, id="chat.first", tooltip="to the beginning"),
        Binding("end,G", "scroll(-1000000)", "Last", show=False, id="chat.last", tooltip="to the end, and follow it"),
    ]

    class Typed(Message):
        """Something was pasted here: it belongs into the prompt."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    def __init__(self, edge: int = MARGIN) -> None:
        super().__init__()
        self._edge = edge
        self.blocks: list[Block] = []
        self.writing: tuple[str, Growing] | None = None
        self.thoughts, self.opened = "", False  # of the answer that is being written
        self.status: Row = []
        self.empty: list[Row] = []
        self._up = 0
        self._count = 0
        self._wanted = False
        self._chosen_rows = (0, 0)

    @property
    def following(self) -> bool:
        """Whether the newest row is shown."""
        return self._up == 0

    def follow(self) -> None:
        """Go to the newest row and stay there."""
        self._up = 0
        self.redraw()

    def action_scroll(self, rows: int) -> None:
        """Move by so many rows, up when positive."""
        self._up = max(0, min(self._up + rows, self._count - self.content_size.height))
        self.redraw()

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """Scroll."""
        event.stop()
        self.action_scroll(3)

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """Scroll."""
        event.stop()
        self.action_scroll(-3)

    def on_paste(self, event: events.Paste) -> None:
        """Pass on what was pasted."""
        event.stop()
        self.post_message(self.Typed(event.text))

    def reveal(self) -> None:
        """Scroll so that the chosen block shows, when there is one."""
        self._wanted = True
        self.redraw()

    def _look_for_chosen(self, total: int, height: int) -> None:
        first, last = self._chosen_rows
        top = total - self._up - height
        if first < top:
            self._up = total - height - first
        elif last > top + height:
            self._up = total - min(last, first + height)
        self._up = max(0, min(self._up, total - height))

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the part that is shown."""
        rows = self._all(width, height)
        if self._wanted and len(rows) > height:
            self._look_for_chosen(len(rows), height)
            self._count = len(rows)
        self._wanted = False
        if self._up:
            # What is read stays where it is while more comes below.
            self._up = max(0, min(self._up + len(rows) - self._count, len(rows) - height))
        self._count = len(rows)
        if len(rows) <= height:
            self._up = 0
            return rows
        shown = rows[len(rows) - self._up - height : len(rows) - self._up]
        if self._up:
            shown[-1] = R(
                "quiet",
                " " * (self._edge + 2),
                "quiet",
                f"{self._up + 1} more ↓  ",
                "accent",
                "end",
                "quiet",
                " follows",
            )
        return shown

    def _all(self, width: int, height: int) -> list[Row]:
        groups = [list(drawn(block, width, self._edge)) for block in self.blocks]
        if self.writing is not None:
            groups.append(growing(*self.writing, width, self.thoughts, opened=self.opened, edge=self._edge))
        if self.status:
            groups.append([[(" " * (self._edge + 2), "quiet"), *self.status]])
        if not groups:
            return self.empty
        total = sum(map(len, groups)) + len(groups) - 1
        airy = total <= height or height >= _AIRY
        rows: list[Row] = []
        for place, group in enumerate(groups):
            rows += [[]] if rows and airy else []
            if place < len(self.blocks) and self.blocks[place].chosen:
                self._chosen_rows = (len(rows), len(rows) + len(group))
            rows += group
        return rows

    # -- selecting with the mouse ---------------------------------------------------------------------------------

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        """Return the selected text."""
        text = "\n".join("".join(part for part, _ in row).rstrip() for row in self._shown)
        return selection.extract(text), "\n"

    def selection_updated(self, selection: Selection | None) -> None:
        """Show what is selected."""
        self.refresh()

    def render_line(self, y: int) -> Strip:
        """Draw a row, with what is selected of it."""
        strip = super().render_line(y)
        span = self.text_selection.get_span(y) if self.text_selection is not None else None
        if span is not None:
            start, end = span
            start = min(cell_len(strip.text[:start]), strip.cell_length)
            end = strip.cell_length if end == -1 else cell_len(strip.text[:end])
            chosen = strip.crop(start, end).apply_style(self.screen.get_component_rich_style("screen--selection"))
            strip = Strip.join([strip.crop(0, start), chosen, strip.crop(end)])
        return strip.apply_offsets(0, y)
