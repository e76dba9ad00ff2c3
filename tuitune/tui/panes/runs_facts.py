"""The Facts pane: everything about the run under the cursor."""

from __future__ import annotations

import time
from typing import ClassVar

from textual.binding import BindingType
from textual.events import MouseScrollDown, MouseScrollUp

from tuitune.face import words
from tuitune.face.about import About, Checkpoint, lasted, state_words, trained
from tuitune.run.shelf import Entry
from tuitune.text import clean_line
from tuitune.tui.kit.bound import bound
from tuitune.tui.kit.pane import DrawnPane
from tuitune.tui.kit.rows import R, Row, cut
from tuitune.tui.kit.units import lasting
from tuitune.tui.kit.wrapping import wrapped

_NAMES = 11  # cells of the names
_ROLES = {"failed": "error", "crashed": "error", "stopped": "warn", "finished": "ok"}
_KEYS = (
    ("up,k", "scroll(-1)", "Up", "facts.up", "a line up"),
    ("down,j", "scroll(1)", "Down", "facts.down", "a line down"),
    ("pageup", "scroll(-12)", "Page up", "facts.pageup", "a page up"),
    ("pagedown,space", "scroll(12)", "Page down", "facts.pagedown", "a page down"),
    ("y", "copy", "Copy", "facts.copy", "copy the run's path"),
)


class FactsPane(DrawnPane):
    """One run: how it stands, its figures, checkpoints, evaluations, where it lies."""

    label = "Run"
    digit = "4"
    HELP = """
# Run

The run under the cursor: how it stands and why, its note and tags, its figures, its checkpoints with their sizes, its
evaluations with their first figures, where it lies and how much room it takes. **y** copies its path.
"""
    BINDINGS: ClassVar[list[BindingType]] = bound(_KEYS)

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._entry: Entry | None = None
        self._about: About | None = None
        self._top = 0

    def show(self, entry: Entry | None, about: About | None) -> None:
        """Show a run; `about` is None until its folder has been looked through."""
        path = self._entry.path if self._entry is not None else None
        if entry is None or entry.path != path:
            self._top = 0
        if about is not None and (entry is None or about.entry.path != entry.path):
            about = None
        if (entry, about) != (self._entry, self._about):
            self._entry, self._about = entry, about
            self.redraw()

    @property
    def meta(self) -> Row:
        """The room that the run takes."""
        return R("quiet", words.size(self._about.size)) if self._about is not None else []

    def body(self, width: int, height: int) -> list[Row]:
        """Return the facts."""
        if self._entry is None:
            return [R("quiet", "no run is chosen")]
        rows = self._rows(self._entry, width)
        self._top = max(0, min(self._top, len(rows) - height))
        seen = rows[self._top : self._top + height]
        if self._top + height < len(rows) and seen:
            seen[-1] = R("faint", f"{len(rows) - self._top - height + 1} more below")
        return seen

    def _rows(self, entry: Entry, width: int) -> list[Row]:
        facts, about = entry.facts, self._about
        rows = [R("strong b", line) for line in wrapped(clean_line(entry.run.name), width)]
        role = _ROLES.get(entry.status, "accent" if entry.live else "quiet")
        rows += [R(role, line) for line in wrapped(clean_line(state_words(entry)), width)]
        rows += [R("accent", line) for line in wrapped(" ".join(map(clean_line, entry.remarks.tags)), width) if line]
        for said in entry.remarks.note.splitlines():
            rows += _lines(said, "ink", width)
        rows.append([])
        pairs = [
            ("model", facts.model), ("data", entry.data),
            ("steps", f"{entry.step:,}" + (f" of {entry.total_steps:,}" if entry.total_steps else "")), *trained(entry),
            ("started", time.strftime("%Y-%m-%d %H:%M", time.localtime(facts.first)) if facts.first else ""),
            ("lasted", lasted(entry, lasting)),
        ]  # fmt: skip
        for name, text in pairs:
            rows += _pair(name, text, width)
        rows += self._contents(about, width) if about is not None else []
        return [*rows, [], *(R("faint", line) for line in wrapped(clean_line(entry.path), width))]

    def _contents(self, about: About, width: int) -> list[Row]:
        rows: list[Row] = []
        for n, each in enumerate(about.evaluations):
            rows += [[], R("quiet", "evaluations")] if not n else []
            rows += _lines(f"{each.name}: {each.headline}", "ink", width)
        if about.checkpoints:
            rows += [[], R("quiet", "checkpoints"), *(_checkpoint(each, width) for each in about.checkpoints)]
        if about.source is not None:
            rows += [[], R("quiet", f"imported from {clean_line(about.source.trainer)}")]
            rows += _lines(about.source.source, "ink", width)
            for note in about.source.notes:
                rows += _lines(note, "faint", width)
        return rows

    def action_scroll(self, by: int) -> None:
        """Go up or down."""
        self._top = max(0, self._top + by)
        self.redraw()

    def action_copy(self) -> None:
        """Copy where the run lies."""
        if self._entry is not None:
            getattr(self.app, "copy", self.app.copy_to_clipboard)(self._entry.path)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Go down."""
        event.stop()
        self.action_scroll(1)

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Go up."""
        event.stop()
        self.action_scroll(-1)


def _pair(name: str, text: str, width: int) -> list[Row]:
    if not text:
        return []
    first, *more = wrapped(clean_line(text), width - _NAMES) or [""]
    head = R("quiet", f"{cut(name, _NAMES - 1):<{_NAMES}}", "ink", first)
    return [head, *(R("ink", " " * _NAMES + line) for line in more)]


def _lines(text: str, role: str, width: int) -> list[Row]:
    return [R(role, line) for line in wrapped(clean_line(text), width)]


def _checkpoint(each: Checkpoint, width: int) -> Row:
    size = R("quiet", f"  {words.size(each.size)}")
    trouble = R("error", f"  {clean_line(each.trouble)}") if each.trouble else []
    return [*R("ink", cut(clean_line(each.name), width)), *size, *trouble]
