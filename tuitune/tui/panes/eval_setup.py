"""The Evaluate pane: which models are compared, on which rows, and what is looked at."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message

from tuitune.text import clean, clean_line
from tuitune.tui.kit.bound import bound
from tuitune.tui.kit.pane import DrawnPane
from tuitune.tui.kit.rows import R, Row, cells, cut, split
from tuitune.tui.kit.wrapping import wrapped
from tuitune.tui.panes.eval_asked import Asked, Line, keep, kept, lines_of
from tuitune.tui.panes.eval_data import ask_data, choices, trouble
from tuitune.tui.panes.eval_typed import ask_metric, ask_rows
from tuitune.tui.subjects import ask_subject, named

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

_NAMES = 13  # cells
_KEYS = (
    ("up,k", "move(-1)", "Up", "up", "the line above"),
    ("down,j", "move(1)", "Down", "down", "the line below"),
    ("enter,space", "edit", "Change", "edit", "choose, type or toggle"),
    ("left", "turn(-1)", "Before", "before", "the choice before"),
    ("right", "turn(1)", "After", "after", "the choice after"),
    ("delete,backspace", "remove", "Take out", "remove", "take the model or file out, or go back to the default"),
    ("y", "copy", "Copy", "copy", "copy the command that does the same"),
)


class SetupPane(DrawnPane):
    """What is asked for, line by line."""

    label = "Evaluate"
    digit = "1"
    HELP = """
# Evaluate

Is the tuned model better than the one it was made from? Both are measured on the same rows, which the model should not
have been trained on: those the run held back, or a file of yours. Every figure comes with an interval of 95 %, and so
does every difference.

- **s** starts; the work goes on when you leave the screen or the app
- **w** chooses the model: a run, a checkpoint, an adapter
- **enter** changes a line, **left** and **right** turn it, **delete** takes it out
- **y** copies the command that does the same

The rows of a multiple-choice benchmark are named in the settings: `task`, such as `mmlu_test`, below `task_dir`.
"""
    BINDINGS: ClassVar[list[BindingType]] = bound(_KEYS, "setup.")
    if TYPE_CHECKING:
        app: TuiTune

    class Changed(Message):
        """Something else is asked for."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.subject: str | None = None
        self.asked = kept()
        self.settings: Callable[[], list[str]] = list
        self._own_rows, self._typed = "what the run held back", ""
        self._values: Mapping[str, object] = {}
        self._at = self._top = 0
        self._spots: list[int] = []

    def set_subject(self, subject: str | None) -> None:
        """Be about another model."""
        self.subject, self._typed = subject, ""
        self._tell()

    def know(self, values: Mapping[str, object], typed: str) -> None:
        """Take notice of the recipe that the subject was trained by, raw, and of how one would type the subject."""
        self._typed, self._values = typed, values
        held = values.get("val_size") or values.get("eval_dataset")
        self._own_rows = "what the run held back" if held else "what it was trained on" if values else "no data named"
        self.redraw()

    @property
    def _rows_of(self) -> str:
        """Which rows are measured where none are named; a benchmark is asked alone."""
        return "the benchmark alone" if any(word.startswith("task=") for word in self.settings()) else self._own_rows

    def ask(self, asked: Asked) -> None:
        """Ask for something else, and remember it."""
        self.asked = asked
        keep(asked)
        self._tell()

    def _tell(self) -> None:
        self._at = min(self._at, len(self.lines()) - 1)
        self.redraw()
        self.call_later(self.post_message, self.Changed())

    # -- drawing -----------------------------------------------------------------------------------------------

    def lines(self) -> list[Line]:
        """Return the lines there are now."""
        return lines_of(self.asked, self.subject, self._rows_of)

    def body(self, width: int, height: int) -> list[Row]:
        """Return the lines, and the command where there is room."""
        lines = self.lines()
        self._top = max(min(self._top, self._at, len(lines) - height), self._at - height + 1, 0)
        seen = range(self._top, min(len(lines), self._top + height))
        self._spots = list(seen)
        rows = [self._row(lines[n], width, n == self._at and self.has_focus) for n in seen]
        room = height - len(rows) - 1
        told = [R("faint", line) for line in wrapped(clean(self.command), width)]
        return [*rows, [], *told] if 0 < len(told) <= room else rows

    @property
    def command(self) -> str:
        """The command that does the same, as a shell takes it."""
        return shlex.join(["tuitune", *self.asked.argv(self._typed or self.subject or "RUN", self.settings())])

    def _row(self, line: Line, width: int, here: bool) -> Row:
        ground = " on sel" if here else ""
        role = "strong b" if here else "quiet" if line.kind in ("add", "measure") else "ink"
        left = R(f"accent{ground}", "▌ " if here else "  ", f"quiet{ground}", f"{line.name:<{_NAMES}}")
        room = width - 2 - _NAMES - 1
        left += R(role + ground, cut(line.words, room))
        note = line.note if cells(line.words) + cells(line.note) + 2 <= room else ""
        return split(left, R(f"faint{ground}", f"{note} " if note else ""), width, " ", f"ink{ground}")

    # -- what keys and the mouse do ----------------------------------------------------------------------------

    def action_move(self, by: int) -> None:
        """Go up or down."""
        self._at = max(0, min(len(self.lines()) - 1, self._at + by))
        self.redraw()

    def action_edit(self) -> None:
        """Change the line under the cursor."""
        line = self.lines()[self._at]
        match line.kind:
            case "subject":
                self.choose_subject()
            case "add":
                ask_subject(self.app, self._add, title="Compare with which model?")
            case "other":
                ask_subject(self.app, lambda word: self.ask(self.asked.swapped(line.value, word)), chosen=line.value)
            case "data":
                self._ask_data()
            case "rows":
                ask_rows(self.app, self.asked.rows, self._take_rows)
            case "measure" | "metric":
                ask_metric(self.app, line.value, lambda path: self.ask(self.asked.measured_by(line.value, path)))
            case _:
                self.action_turn(1)

    def choose_subject(self) -> None:
        """Let the user choose whom it is about."""
        ask_subject(self.app, self.set_subject, title="Evaluate which model?", chosen=self.subject)

    def _add(self, word: str) -> None:
        if word == self.subject or word in self.asked.others:
            self.app.say(f"{named(word)} is compared already")
            return
        self.ask(replace(self.asked, others=(*self.asked.others, word)))

    def _ask_data(self) -> None:
        values, settings, own, now = self._values, self.settings(), self._own_rows, self.asked.data
        ask_data(self.app, self.subject, settings, lambda: choices(values, settings, own, now), self._take_data, now)

    def _take_data(self, data: str) -> None:
        self.ask(replace(self.asked, data=data))

    def check_data(self) -> None:
        """Find out in a thread whether this model can be measured on the rows that were named; else take its own."""
        subject, data, settings = self.subject, self.asked.data, self.settings()

        def checked(problem: str) -> None:
            if problem and (self.subject, self.asked.data) == (subject, data):
                self._take_data("")
                self.app.say(f"not on {clean_line(Path(data).name)}: {problem}", "warning")

        if subject is not None and data:
            self.app.in_thread("evaluate-data", lambda: trouble(subject, settings, data), checked)

    def _take_rows(self, rows: int | None) -> None:
        self.ask(replace(self.asked, rows=rows))

    def action_turn(self, by: int) -> None:
        """Take the next choice of the line."""
        self._ask_other(self.asked.turned(self.lines()[self._at], by))

    def action_remove(self) -> None:
        """Take the line out, or put it back to its default."""
        self._ask_other(self.asked.without(self.lines()[self._at]))

    def _ask_other(self, asked: Asked) -> None:
        if asked != self.asked:
            self.ask(asked)

    def action_copy(self) -> None:
        """Copy the command."""
        self.app.copy(self.command)

    def on_click(self, event: Click) -> None:
        """Go to the line under the mouse; again changes it."""
        focused = self.has_focus
        super().on_click(event)
        row = event.get_content_offset_capture(self).y - 1
        if 0 <= row < len(self._spots):
            again, self._at = focused and self._spots[row] == self._at, self._spots[row]
            self.redraw()
            if again:
                self.action_edit()

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Go down."""
        event.stop()
        self.action_move(1)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Go up."""
        event.stop()
        self.action_move(-1)
