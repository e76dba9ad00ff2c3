"""The recipe form as rows with a cursor: what it shows, where it is scrolled to, what the mouse points at."""

from __future__ import annotations

from dataclasses import replace

from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message

from tuitune.text import clean_line
from tuitune.tui.edited import Edited
from tuitune.tui.kit.drawn import Drawn
from tuitune.tui.kit.rows import R, Row
from tuitune.tui.kit.wrapping import wrapped
from tuitune.tui.panes.form_lines import Line, View, elsewhere, form_lines
from tuitune.tui.panes.form_rows import field_row, title, value_column

_AIRY = 23  # from this height on the groups stand apart even if the form must scroll
_WHEEL = 3


def window(total: int, height: int, offset: int) -> tuple[int, int, bool, bool]:
    """Return the first line to show and the one after the last, and whether lines above and below wait."""
    if total <= height or height < 3:
        first = 0 if total <= height else max(0, min(offset, total - height))
        return first, min(total, first + height), False, False
    # A hint takes a row itself: in place of a single line the line is shown.
    first = 0 if offset <= 1 else min(offset, total - height + 1)
    room = height - (first > 0)
    below = first + room < total
    return first, first + room - below, first > 0, below


class Form(Drawn, can_focus=True):
    """The fields of a draft; `refill` when the draft changed."""

    class Moved(Message):
        """The cursor stands on another field, or the field has changed."""

    class Pressed(Message):
        """The mouse asks to edit the field under the cursor."""

    def __init__(self, draft: Edited) -> None:
        super().__init__()
        self.draft = draft
        self.view = View()
        self.lines: list[Line] = []
        self._place = 0
        self._offset = 0
        self._placed: list[Line | None] = []
        self._at: list[int] = []
        self._height = 0
        self._fill()

    @property
    def line(self) -> Line | None:
        """The field under the cursor."""
        here = self.lines[self._place] if self._place < len(self.lines) else None
        return here if here is not None and here.key else None

    @property
    def cursor_key(self) -> str | None:
        """The key of the field under the cursor."""
        return self.line.key if self.line else None

    def refill(self) -> None:
        """Show the draft as it is now; the cursor stays on its field."""
        self._fill()
        self._settle()
        self._told()

    def look(self, view: View) -> None:
        """Show more or fewer fields."""
        self.view = view
        self.refill()

    def seek(self, query: str) -> None:
        """Show the fields with these words; the cursor goes to the first one that is named so."""
        if query == self.view.query:
            return
        self.look(replace(self.view, query=query))
        named = next((line.key for line in self.lines if query and query.lower() in line.key.lower()), None)
        if named is not None:
            self.go(named)

    def go(self, key: str) -> bool:
        """Put the cursor on a key; return whether it has a line."""
        found = next((index for index, line in enumerate(self.lines) if line.key == key), None)
        if found is None:
            return False
        self._put(found)
        return True

    def move(self, step: int) -> None:
        """Move the cursor by so many fields, as far as there are any."""
        fields = [index for index, line in enumerate(self.lines) if line.key]
        if fields:
            now = fields.index(self._place) if self._place in fields else 0
            self._put(fields[max(0, min(len(fields) - 1, now + step))])

    def page(self) -> int:
        """Return how many lines make a page."""
        return max(1, self._height - 3)

    def scroll_by(self, rows: int) -> None:
        """Show what is above or below without moving the cursor."""
        most = max(0, len(self._placed) - self._height + 1)
        self._offset = max(0, min(most, self._offset + rows))
        self.redraw()

    def spot(self) -> tuple[int, int, int]:
        """Return where the value under the cursor stands: column, row, and the cells from there to the edge."""
        line, width = self.line, self.content_size.width
        assert line is not None
        self._settle()
        self.redraw()
        column = value_column(line, width)
        return column, self._at.index(self._place), max(1, width - column - 1)

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the lines in view."""
        if self.draft.document is None:
            return self._broken(width)
        if not self.lines:
            return self._nothing(height)
        if height != self._height:
            self._height = height
            self._settle()
        self._layout(height)
        first, last, above, below = window(len(self._placed), height, self._offset)
        rows = [R("quiet", f"   {self._fields(0, first)} more ↑")] if above else []
        self._at = [-1] if above else []
        for line in self._placed[first:last]:
            self._at.append(-1 if line is None else self.lines.index(line))
            rows.append(self._row(line, width))
        return [*rows, R("quiet", f"   {self._fields(last, None)} more ↓")] if below else rows

    def _nothing(self, height: int) -> list[Row]:
        """Return what to say where a search finds no field of this recipe; fields of other methods are named."""
        query = self.view.query
        rows = [R("quiet", line) for line in elsewhere(query, max(2, height - 2))]
        said = "not for this recipe yet" if rows else f"no field matches '{clean_line(query)}'"
        return [R("quiet", said), *[[*R("faint", " "), *row] for row in rows], R("faint", "esc shows them again")]

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Scroll."""
        event.stop()
        self.scroll_by(_WHEEL)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Scroll."""
        event.stop()
        self.scroll_by(-_WHEEL)

    def on_click(self, event: Click) -> None:
        """Choose the field under the mouse; once more edits it, and the hints turn the page."""
        at = self._at[event.y] if 0 <= event.y < len(self._at) else -1
        if self.draft.document is None:
            return
        if at >= 0 and self.lines[at].key:
            again = at == self._place
            self._put(at)
            if again:
                self.post_message(self.Pressed())
        elif event.y in (0, self._height - 1) and at < 0:
            self.scroll_by(self.page() if event.y else -self.page())

    def _fill(self) -> None:
        key, draft = self.cursor_key, self.draft
        if draft.document is None:
            return
        self.lines = form_lines(
            draft.values, draft.problems, draft.changed, self.view, sections=draft.sections, purpose=draft.purpose
        )
        places = [index for index, line in enumerate(self.lines) if line.key == key]
        # A field that is gone leaves the cursor where it stood.
        near = [index for index, line in enumerate(self.lines) if line.key]
        self._place = places[0] if places else min(near, key=lambda index: abs(index - self._place), default=0)

    def _put(self, place: int) -> None:
        self._place = place
        self._settle()
        self._told()

    def _told(self) -> None:
        if self.is_mounted:
            self.redraw()
            self.post_message(self.Moved())

    def _row(self, line: Line | None, width: int) -> Row:
        if line is None:
            return []
        return field_row(line, width, here=line is self.line) if line.key else title(line, width)

    def _fields(self, start: int, end: int | None) -> int:
        return sum(1 for line in self._placed[start:end] if line is not None and line.key)

    def _layout(self, height: int) -> None:
        """Put a blank row before each group where there is room."""
        groups = sum(1 for line in self.lines if not line.key)
        airy = height >= _AIRY or len(self.lines) + groups - 1 <= height
        self._placed = []
        for index, line in enumerate(self.lines):
            self._placed += [None, line] if airy and index and line.name and not line.key else [line]

    def _settle(self) -> None:
        """Scroll as little as needed for the cursor to be in view, with its group's title where that is just above."""
        line, height = self.line, self._height
        self._layout(height)
        if line is None or height < 1:
            return
        at = next(index for index, each in enumerate(self._placed) if each is line)
        above = self._placed[at - 1] if at else None
        top = at - 1 if above is not None and not above.key else at
        if top < window(len(self._placed), height, self._offset)[0]:
            self._offset = top
        below = at + 1 if at == len(self._placed) - 2 else at  # the hint after the last field
        while below >= window(len(self._placed), height, self._offset)[1]:
            self._offset += 1

    def _broken(self, width: int) -> list[Row]:
        problem = self.draft.problems[0]
        place = f"Line {problem.line}: " if problem.line else ""
        said = [R("error", text) for text in wrapped(place + clean_line(problem.reason), width)]
        hint = [R("quiet", text) for text in wrapped(clean_line(problem.hint), width)] if problem.hint else []
        first = wrapped("The text is no recipe yet, so there is no form to fill in.", width)
        last = wrapped("Mend it in the YAML view (ctrl+t), or take the last step back with ctrl+z.", width)
        return [*(R("ink", text) for text in first), [], *said, *hint, [], *(R("quiet", text) for text in last)]
