"""The command that does what the draft does, for scripts and for others."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from tuitune.text import clean_line
from tuitune.tui.draft import Draft
from tuitune.tui.kit.pane import DrawnPane
from tuitune.tui.kit.rows import R, Row, fit, width_of

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune


class CommandPane(DrawnPane):
    """`tuitune train BASE key=value ...`."""

    label = "The same, as a command"
    HELP = """\
# The same, as a command

What you would type to train this recipe without the app: the file or preset it began from, and what you changed.
`y` copies it. Where no `key=value` can say the change, the command works once the recipe is saved.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "copy", "Copy", id="command.copy", tooltip="copy the command")
    ]
    if TYPE_CHECKING:
        app: TuiTune

    def __init__(self, draft: Draft, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._draft = draft
        self._end: Callable[[], None] = lambda: None

    def on_mount(self) -> None:
        """Follow the draft."""
        self._end = self._draft.subscribe(self.redraw)

    def on_unmount(self) -> None:
        """Follow it no longer."""
        self._end()

    @property
    def meta(self) -> Row:
        """The key that copies, while it would."""
        return R("accent", "y", "quiet", " copies") if self.has_focus else []

    def action_copy(self) -> None:
        """Copy the command."""
        self.app.copy(shlex.join(self._draft.command()))

    def body(self, width: int, height: int) -> list[Row]:
        """Return the command, wrapped as a shell would take it."""
        program, verb, base, *settings = [clean_line(shlex.quote(word)) for word in self._draft.command()]
        note = [self._when_saved()] if self._draft.needs_saving else []
        rows = _wrapped([R("strong", f"{program} {verb} ", "ink", base), *map(_setting, settings)], width)
        room = max(1, height - len(note))
        if len(rows) > room:
            more = R("faint", f"  … {len(rows) - room + 1} more lines; ", "accent", "y", "faint", " copies all")
            rows = [*rows[: room - 1], more]
        return [*rows, *note]

    def _when_saved(self) -> Row:
        if self._draft.document is None:
            return R("warn", "▲ ", "quiet", "once the text can be read and is saved")
        return R(
            "warn", "▲ ", "quiet", "once it is saved (", "accent", "f5", "quiet", "): no key=value says the change"
        )


def _setting(word: str) -> Row:
    key, _, value = word.partition("=")
    return R("weights", f"{key}=", "strong", value)


def _wrapped(words: list[Row], width: int) -> list[Row]:
    """Return the words in lines with a backslash at the end of all but the last; the command itself has its own."""
    lines = [words[0]]
    for word in words[1:]:
        if len(lines) > 1 and width_of(lines[-1]) + 1 + width_of(word) <= width - 2:
            lines[-1] = [*lines[-1], (" ", "ink"), *word]
        else:
            lines.append([("  ", "ink"), *word])
    cut = [fit(line, min(width_of(line), width - 2)) for line in lines]
    return [*([*line, (" \\", "faint")] for line in cut[:-1]), cut[-1]]
