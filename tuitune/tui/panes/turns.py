"""The turns of a conversation on the screen, scrolled and selected."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

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


@dataclass
class Place:
    """Where turns are scrolled to: `up` rows above the end, of `count` in all.

    at: "written" follows the answer on its way, "end" the last row, and what is "read" stays where it is.
    """

    up: int = 0
    count: int = 0
    at: Literal["written", "end", "read"] = "written"

    def copy(self) -> Place:
        """Return another one that is the same."""
        return replace(self)

    def go(self, up: int) -> None:
        """Show other rows."""
        self.up = up
        self.at = "read" if up else "end"


@dataclass(frozen=True)
class Laid:
    """All rows; own: how many before others only fill up, foot: where those end that are to be followed."""

    rows: list[Row]
    own: int
    foot: int


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
        self.place = Place()
        self._wanted = False
        self._chosen_rows = (0, 0)

    @property
    def following(self) -> bool:
        """Whether what is written newest is shown."""
        return self.place.at != "read"

    @property
    def is_writing(self) -> bool:
        """Whether an answer is on its way."""
        return self.writing is not None or bool(self.status)

    def follow(self) -> None:
        """Go to what is written newest and stay there."""
        self.place.up, self.place.at = 0, "written"
        self.redraw()

    def action_scroll(self, rows: int) -> None:
        """Move by so many rows, up when positive."""
        place = self.place
        place.go(max(0, min(place.up + rows, place.count - self.content_size.height)))
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
        up = self.place.up
        top = total - up - height
        if first < top:
            up = total - height - first
        elif last > top + height:
            up = total - min(last, first + height)
        self.place.go(max(0, min(up, total - height)))

    def _settle(self, laid: Laid, height: int) -> None:
        """Find out which rows are shown."""
        place, total = self.place, len(laid.rows)
        wanted, self._wanted = self._wanted, False
        if total <= height:
            place.up = 0
            place.at = "end" if place.at == "read" else place.at
        elif wanted:
            self._look_for_chosen(total, height)
        elif place.at == "written":
            place.up = max(0, min(total - laid.foot, total - height))
        elif place.at == "read":  # it stays where it is while more comes below
            place.go(max(0, min(place.up + total - place.count, total - height)))
        place.count = total

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the part that is shown."""
        laid = self.laid(width, height)
        self._settle(laid, height)
        if len(laid.rows) <= height:
            return laid.rows
        end = len(laid.rows) - self.place.up
        shown = laid.rows[end - height : end]
        if laid.own > end:
            shown[-1] = R("quiet", f"{' ' * (self._edge + 2)}{laid.own - end + 1} more ↓  ", "accent", "end",
                          "quiet", " follows")  # fmt: skip
        return shown

    def laid(self, width: int, height: int) -> Laid:
        """Return all rows."""
        groups = self.groups(width)
        total = sum(map(len, groups)) + len(groups) - 1
        rows = self.joined(groups, int(self.airy(total, height)), [0] * len(groups))
        return Laid(rows, len(rows), len(rows))

    def groups(self, width: int) -> list[list[Row]]:
        """Return the rows of each turn, of the answer on its way, and of what is said about it."""
        groups = [list(drawn(block, width, self._edge)) for block in self.blocks]
        if self.writing is not None:
            groups.append(growing(*self.writing, width, self.thoughts, opened=self.opened, edge=self._edge))
        if self.status:
            groups.append([[(" " * (self._edge + 2), "quiet"), *self.status]])
        return groups

    @staticmethod
    def airy(total: int, height: int) -> bool:
        """Tell whether there is room for a row between turns."""
        return total <= height or height >= _AIRY

    def joined(self, groups: list[list[Row]], gap: int, pads: list[int]) -> list[Row]:
        """Return the rows of all groups; pads: blank rows before each, besides the gap."""
        if not groups:
            return list(self.empty)
        rows: list[Row] = []
        for place, group in enumerate(groups):
            rows += [[] for _ in range(pads[place] + (gap if place else 0))]
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
