"""A text area for recipes: our colours, a mark on what changed, and each problem at the end of its own line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from rich.segment import Segment
from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.document._document import EditResult
from textual.document._edit import Edit
from textual.strip import Strip
from textual.widgets import TextArea

from tuitune.recipe import Problem
from tuitune.text import clean_line
from tuitune.tui.areatext import difference, held, line_ending, location, visible, written
from tuitune.tui.draft import Draft
from tuitune.tui.highlight import parts, spans
from tuitune.tui.kit.drawn import style_of
from tuitune.tui.kit.glyphs import ascii_text
from tuitune.tui.kit.rows import R, Row, fit, width_of

if TYPE_CHECKING:
    from textual.app import App

    from tuitune.tui.app import TuiTune

_LONG = 20_000  # characters: a longer text is judged by a thread
_LEAST_NOTE = 12


class _Move(Protocol):
    def __call__(self, *, later: bool) -> bool: ...


@dataclass(frozen=True, slots=True)
class Marks:
    """What stands beside the text: the problem of a row, and the rows that differ from the file or preset."""

    problems: Mapping[int, Problem]
    changed: frozenset[int]


class Editor(TextArea):
    """The text of a draft. Every edit goes to the draft at once, and every change of the draft comes here."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab", "indent", "Indent", show=False, id="yaml.indent", tooltip="blanks up to the next even column"),
        Binding("ctrl+home", "edge", "Start of the text", show=False, id="yaml.start"),
        Binding("ctrl+end", "edge(True)", "End of the text", show=False, id="yaml.end"),
        Binding("ctrl+shift+home", "edge(False,True)", "Choose up to the start", show=False, id="yaml.choose_start"),
        Binding("ctrl+shift+end", "edge(True,True)", "Choose up to the end", show=False, id="yaml.choose_end"),
    ]
    DEFAULT_CSS = """
    Editor, Editor:focus {
        border: none; padding: 0; height: 1fr; background: transparent; color: $ink;
        scrollbar-size: 0 0; background-tint: transparent;
    }
    """
    if TYPE_CHECKING:
        app: TuiTune

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._taking = False
        self._taken = draft.text
        self._ending = line_ending(draft.text)
        self.marks = Marks({}, frozenset())
        super().__init__(held(draft.text), soft_wrap=False, show_line_numbers=True, highlight_cursor_line=False)
        self.indent_width = 2
        self.cursor_blink = False  # each blink would cost bytes on the line

    # -- text to and from the draft ----------------------------------------------------------------------------

    def take(self) -> None:
        """Show the draft's text as it is now; the cursor stays where it was in what is the same."""
        text = self._draft.text
        if text == self._taken:
            return
        start, end, new = difference(self.text, held(text))
        self._taken, self._ending = text, line_ending(text)
        before = self.text
        self._taking = True
        try:
            self.edit(Edit(new, location(before, start), location(before, end), maintain_selection_offset=True))
        finally:
            self._taking = False

    def edit(self, edit: Edit) -> EditResult:
        """Change the text, and the draft with it."""
        if not self._taking:
            edit.text = held(edit.text.replace("\r\n", "\n").replace("\r", "\n"))
        result = super().edit(edit)
        self.history.clear()  # the draft remembers the steps
        if not self._taking:
            self._taken = written(self.text, self._ending)
            self._draft.replace(self._taken, merge=True, later=self.is_long)
        return result

    @property
    def is_long(self) -> bool:
        """Whether it takes too long to judge the text at each key."""
        return self.document.line_count > 1_000 or len(self._taken) > _LONG

    def action_undo(self) -> None:
        """Take back the last step of the draft."""
        self._back_or_forth(self._draft.undo)

    def action_redo(self) -> None:
        """Make it again."""
        self._back_or_forth(self._draft.redo)

    def _back_or_forth(self, move: _Move) -> None:
        before = self.text
        moved = move(later=self.is_long)
        self.take()
        if moved and before != self.text:
            start, _end, new = difference(before, self.text)
            self.move_cursor(location(self.text, start + len(new)))

    def cursor_to_value(self, row: int) -> None:
        """Put the cursor behind the value in a row."""
        self.move_cursor((row, parts(self.document.get_line(row)).value[1]), center=True)

    def action_edge(self, end: bool = False, select: bool = False) -> None:
        """Go to the start or the end of the text, or choose up to there."""
        self.move_cursor(self.document.end if end else (0, 0), select=select)

    def action_indent(self) -> None:
        """Put blanks up to the next even column."""
        self._replace_via_keyboard(" " * self._find_columns_to_next_tab_stop(), *self.selection)

    def action_copy(self) -> None:
        """Copy what is selected, by all ways that reach the user's clipboard."""
        if self.selected_text:
            self.app.copy(written(self.selected_text, "\n"))

    def action_cut(self) -> None:
        """Copy what is selected and take it out."""
        if self.selected_text:
            self.action_copy()
            self._delete_via_keyboard(*self.selection)

    # -- drawing -----------------------------------------------------------------------------------------------

    def mark(self, marks: Marks) -> None:
        """Show problems and changes at their rows."""
        if marks != self.marks:
            self.marks = marks
            self.refresh()

    @property
    def gutter_width(self) -> int:
        """The cells of the line numbers and marks."""
        return max(3, len(str(self.document.line_count))) + 3

    def render_line(self, y: int) -> Strip:
        """Draw a row of the screen."""
        row = self.scroll_offset.y + y
        width = self.size.width
        if row >= self.document.line_count:
            return Strip.blank(width, self.rich_style)
        number = self._gutter(row)
        room = max(0, width - self.gutter_width)
        line = self.get_line(row)
        if row in self.marks.problems:
            self._make_room(line, row, room + self.scroll_offset.x)
        note = self._note(row, room + self.scroll_offset.x - line.cell_len)
        text = Strip(line.render(self.app.console)).crop(self.scroll_offset.x, self.scroll_offset.x + room)
        strip = Strip([*number, *text, *note]).adjust_cell_length(width).apply_style(self.rich_style)
        return self._plain(strip) if getattr(self.app, "ascii_glyphs", False) else strip

    @staticmethod
    def _plain(strip: Strip) -> Strip:
        return Strip([Segment(ascii_text(text), style) for text, style, _ in strip], strip.cell_length)

    def get_line(self, line_index: int) -> Text:
        """Return a line with its colours, cursor and selection."""
        line = self.document.get_line(line_index)
        text = Text(visible(line) + " ", end="", no_wrap=True, tab_size=self.indent_width)
        for start, end, role in spans(line):
            text.stylize(self._style(role), start, end)
        problem = self.marks.problems.get(line_index)
        if problem is not None and problem.key and problem.level == "error":
            text.stylize(self._style("error u"), *parts(line).value)
        self._show_selection(text, line_index, len(line))
        text.expand_tabs(self.indent_width)
        return text

    def _show_selection(self, text: Text, row: int, length: int) -> None:
        first, last = sorted(self.selection)
        if first != last and first[0] <= row <= last[0]:
            start = first[1] if row == first[0] else 0
            end = last[1] if row == last[0] else length + 1  # the line end itself is chosen too
            text.stylize(self._style("ink on sel"), start, end)
        cursor_row, column = self.selection.end
        if row == cursor_row and self.has_focus:
            text.stylize(Style(reverse=True, underline=False), column, column + 1)

    def _gutter(self, row: int) -> list[Segment]:
        problem = self.marks.problems.get(row)
        role = "ink" if row == self.selection.end[0] and self.has_focus else "faint"
        if problem is not None:
            role = "error b" if problem.level == "error" else "warn"
        mark = "•" if row in self.marks.changed else " "
        return self._segments(R(role, f"{row + 1:>{self.gutter_width - 3}} ", "accent", f"{mark} "))

    def _make_room(self, line: Text, row: int, room: int) -> None:
        """Put the note where the comment is when both have no room and nobody edits the comment."""
        plain = self.document.get_line(row)
        end = parts(plain).value[1]
        edited = self.has_focus and self.selection.end[0] == row and self.selection.end[1] > end
        if not edited and line.cell_len + width_of(said(self.marks.problems[row])) > room:
            kept = len(plain[:end].expandtabs(self.indent_width)) + 1
            if kept < len(line):
                line.right_crop(len(line) - kept)

    def _note(self, row: int, room: int) -> list[Segment]:
        problem = self.marks.problems.get(row)
        if problem is None or room < _LEAST_NOTE:
            return []
        # The blank at the end of the line, where the cursor may stand, is the first of three.
        return self._segments(fit([("  ", "ink"), *said(problem)], room))

    def _style(self, role: str) -> Style:
        return style_of(cast("App[Any]", self.app), role)

    def _segments(self, row: Row) -> list[Segment]:
        return [Segment(text, self._style(role)) for text, role in row]


def said(problem: Problem) -> Row:
    """Return a problem in words, with the arrow that points to its line."""
    role = "error" if problem.level == "error" else "warn"
    hint = f", {clean_line(problem.hint)}" if problem.hint else ""
    return R(role, "◂ ", f"{role} b", clean_line(problem.reason), "ink", hint)
