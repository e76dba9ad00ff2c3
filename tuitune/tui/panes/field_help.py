"""What the field under the cursor is for, what it takes, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping

from textual.css.scalar import Scalar
from textual.widget import Widget

from tuitune.recipe import FIELDS, Problem
from tuitune.text import clean_line
from tuitune.tui.kit.drawn import Drawn
from tuitune.tui.kit.rows import R, Row, cells, cut
from tuitune.tui.kit.wrapping import wrapped
from tuitune.tui.panes.form_lines import Line
from tuitune.tui.panes.form_words import CHOICES, UNSET, range_words, value_words

_ROOMY = 6  # from more rows on the facts stand below the name
_LEAST = 6  # what facts beside the name need at least
_BRIEF = 3
_SHARE = 3  # a problem takes at most one row of so many


class FieldHelp(Drawn):
    """Name and range, the problem if there is one, and the help in full sentences."""

    def __init__(self) -> None:
        super().__init__()
        self._line: Line | None = None
        self._problem: Problem | None = None
        self._base = ""

    def show(self, line: Line | None, base: Mapping[str, object], origin: str, problem: Problem | None) -> None:
        """Show a field; `base` are the values it began with, from an `origin` such as a preset."""
        self._line, self._problem = line, problem
        self._base = f"{origin} {value_words(line.key, base[line.key])}" if line and line.key in base else ""
        self._grow()
        self.redraw()

    def on_resize(self) -> None:
        """Break the words anew."""
        self._grow()

    def _grow(self) -> None:
        """Take the rows that a problem needs to be told whole, up to a share of what there is."""
        width, holder = self.content_size.width, self.parent
        if not width or not isinstance(holder, Widget):
            return
        wrong = self._wrong(width)
        least = min(1 + len(wrong) + self.gutter.height, holder.size.height // _SHARE) if wrong else 0
        if self.styles.min_height != Scalar.from_number(least):
            self.styles.min_height = least

    def rows(self, width: int, height: int) -> list[Row]:
        """Return as much as there is room for: the problem before everything else."""
        line, field = self._line, FIELDS.get(self._line.key) if self._line else None
        if line is None:
            return []
        wrong = self._wrong(width)
        if wrong and height < _BRIEF:
            return [*wrong, *self._head(line, width, alone=False)][:height]
        told = [R("quiet", text) for text in wrapped(field.help, width)] if field else []
        if chosen := CHOICES.get(line.key, {}).get(line.value):
            told += [R("quiet", text) for text in wrapped(f"{line.value}: {chosen}", width)]
        head = self._head(line, width, alone=height > _ROOMY)
        if wrong and len(head) + len(wrong) > height:
            head = self._head(line, width, alone=False)
        rows = [*head, *wrong, *told]
        # Where the problem is told whole, no sign that the help goes on may stand behind it.
        whole = len(rows) <= height or (wrong and len(head) + len(wrong) == height)
        return rows[:height] if whole else [*rows[: height - 1], ended(rows[height - 1], width)]

    def _head(self, line: Line, width: int, *, alone: bool) -> list[Row]:
        """Return the name with what it takes and what it was; beside it as far as there is room, or below it."""
        facts = ["an unknown key"]
        if (field := FIELDS.get(line.key)) is not None:
            was = self._base or f"default {line.left or self._default(line.key)}"
            facts = [each for each in (field.unit, range_words(field), was) if each]
        if alone:
            said = [R("quiet", text) for text in wrapped(", ".join(facts), width)]
            return [R("ink", cut(line.name, width)), *said, []]
        room = width - cells(line.name) - 2
        while len(facts) > 1 and cells(", ".join(facts)) > room:
            facts.pop(0)
        return [R("ink", cut(line.name, width), "quiet", "  " + cut(", ".join(facts), room) if room > _LEAST else "")]

    @staticmethod
    def _default(key: str) -> str:
        default = FIELDS[key].default
        return UNSET.get(key, "not set") if default in (None, (), "") else value_words(key, default)

    def _wrong(self, width: int) -> list[Row]:
        problem = self._problem
        if problem is None:
            return []
        role = "error" if problem.level == "error" else "warn"
        rows = [R(role, text) for text in wrapped(clean_line(problem.reason), width)]
        return rows + [R("quiet", text) for text in wrapped(clean_line(problem.hint), width)] if problem.hint else rows


def ended(row: Row, width: int) -> Row:
    """Return a last row that says that the text goes on."""
    if not row:
        return R("quiet", "…")
    text, role = row[-1]
    return [*row[:-1], (f"{text} …" if cells(text) <= width - 2 else cut(f"{text}…", width), role)]
