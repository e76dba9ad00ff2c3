"""How a line of the recipe form is drawn: mark, name, value, note. Notes give way first, then texts, never a number."""

from __future__ import annotations

from tuitune.recipe import FIELDS
from tuitune.tui.kit.rows import R, Row, cells, cut, split
from tuitune.tui.panes.form_lines import Line

LEAD = 3  # the cursor's bar, the mark, a blank
_NAMES = 16
_WIDE_NAMES = 28
_WIDE = 50
_LEAST_VALUE = 5  # what a text keeps of itself before a long name is cut
_LEAST_NOTE = 4


def value_column(line: Line, width: int) -> int:
    """Return the cell in which the value of a line begins."""
    most = width - LEAD - 1 - (cells(line.value) if _whole(line) else min(cells(line.value), _LEAST_VALUE)) - 1
    wanted = max(_WIDE_NAMES if width >= _WIDE else _NAMES, cells(line.name) + 1)
    return LEAD + max(1, min(wanted, most + 1))


def _whole(line: Line) -> bool:
    """Return whether the value must not be cut: a number that is cut is another number."""
    field = FIELDS.get(line.key)
    return (
        field is not None
        and field.kind in ("number", "whole", "share", "flag")
        and cells(line.value) < 24
        and " " not in line.value
    )


def title(line: Line, width: int) -> Row:
    """Return the title of a group, or a hint as far as it fits."""
    return R("quiet b", line.name) if line.name else R("faint", cut(f"{' ' * LEAD}{line.note}", width))


def field_row(line: Line, width: int, *, here: bool) -> Row:
    """Return the row of a field; `here` puts the cursor on it."""
    ground = " on sel" if here else ""
    bad = line.level == "error"
    column = value_column(line, width)
    room = max(1, width - column)
    value = cut(line.value, room)
    note, role = _note(line, room - cells(value) - 2)
    left = R(
        ("error" if bad else "accent") + ground,
        "▌" if here else " ",
        *_mark(line, ground),
        ("error" if bad else "ink" if here else "quiet") + ground,
        _name(line.name, column - LEAD),
        _value_role(line, here) + ground,
        value,
    )
    return split(left, R(role + ground, f"{note} " if note else ""), width, " ", "ink" + ground)


def _mark(line: Line, ground: str) -> tuple[str, str]:
    if line.level:
        return ("error" if line.level == "error" else "warn") + ground, "▲ "
    return "accent" + ground, "• " if line.changed else "  "


def _name(name: str, room: int) -> str:
    short = cut(name, room - 1)
    return short + " " * (room - cells(short))


def _value_role(line: Line, here: bool) -> str:
    if line.level == "error":
        return "error b u"
    if here:
        return "strong b"
    return "ink" if line.given else "quiet"


def _note(line: Line, room: int) -> tuple[str, str]:
    """Return what stands at the right end: the reason of a problem where it fits, else the note as far as it fits."""
    if line.problem is not None and cells(line.problem.reason) <= room:
        return line.problem.reason, "error" if line.level == "error" else "warn"
    if cells(line.note) <= room:
        return line.note, "faint"
    words = (
        line.note if not any(letter.isdigit() for letter in line.note) else ""
    )  # a number that is cut is another one
    return (cut(words, room) if room >= _LEAST_NOTE and " " in words else ""), "faint"
