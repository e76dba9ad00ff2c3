"""The Log pane: what happened in the run, newest first, or the end of what was printed."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import BindingType
from textual.message import Message

from tuitune.tui.kit.bound import bound
from tuitune.tui.kit.rows import R, Row
from tuitune.tui.panes.listing import ListPane, list_keys
from tuitune.tui.panes.wrapping import wrapped
from tuitune.tui.runview import LogLine, RunView
from tuitune.tui.tail import Tail

_MARGIN = 7  # the time of day and two blanks
_LOOK = ("warn", "error")
_KEYS = (
    ("t", "tail", "console.log", "log.tail", "the end of what was printed, or the events again"),
    ("w", "problems", "Problems", "log.problems", "only warnings and errors, or all lines"),
)


class LogPane(ListPane[LogLine]):
    """Lists what happened in a run; give it the run by `show`, twice a second."""

    label = "Log"
    digit = "6"
    HELP = """
# Log

What happened in the run, newest first: phases, evaluations, checkpoints, answers, warnings.

- **up** **down** choose a line, **enter** shows all of it, **y** copies it
- **w** only warnings and errors
- **t** the end of `console.log`, which holds what libraries printed; it follows while the last line is chosen
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        *list_keys("log"),
        *bound(_KEYS),
    ]

    class TailRead(Message):
        """The end of the console log was read in a thread."""

        def __init__(self, tail: Tail, first: int, lines: list[str]) -> None:
            super().__init__()
            self.tail, self.first, self.lines = tail, first, lines

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._view: RunView | None = None
        self._drawn: tuple[object, ...] = ()
        self._only_problems = False
        self._tail: Tail | None = None
        self._reading = False
        self._first = 0

    @property
    def tailing(self) -> bool:
        """Whether the end of the console log is shown."""
        return self._tail is not None

    @property
    def meta(self) -> Row:
        """What is listed."""
        if self.tailing:
            return R("quiet", "console.log")
        return R("warn", "problems") if self._only_problems else R("quiet", "newest first")

    def show(self, view: RunView | None) -> None:
        """Show what happened in `view`; draws only when there is something new."""
        if view is not self._view:
            self._view = view
            self._begin(tail=self.tailing and view is not None)
        sign = (view, view.revision if view is not None else 0)
        if self.tailing:
            self._read_tail()
        elif sign != self._drawn:
            self._drawn = sign
            self.take(self._events())

    def _begin(self, *, tail: bool) -> None:
        self._first, self._drawn = 0, ()
        self._tail = Tail(self._view.run.console) if tail and self._view is not None else None
        self.restart([] if tail else self._events())

    def _events(self) -> list[LogLine]:
        lines = self._view.lines if self._view is not None else ()
        return [line for line in lines if not self._only_problems or line.role in _LOOK]

    # The end of the console log

    def _read_tail(self) -> None:
        if self._reading or self._tail is None:
            return
        self._reading, tail = True, self._tail

        def read() -> None:
            tail.read()
            last = tail.unfinished
            self.post_message(self.TailRead(tail, tail.first, [*tail.lines, *([last] if last else [])]))

        self.run_worker(read, thread=True, group="log-tail", exit_on_error=False)

    def on_log_pane_tail_read(self, message: TailRead) -> None:
        """Show the lines, and follow them where the last one was chosen."""
        message.stop()
        self._reading = False
        if message.tail is not self._tail:
            return
        follows = self._at >= len(self._items) - 1
        gone = message.first - self._first
        self._first = message.first
        if gone or [line.text for line in self._items] != message.lines:
            self._items = [LogLine(0.0, text, role="ink") for text in message.lines]
            self._at = max(0, len(self._items) - 1 if follows else self._at - gone)
            self._top = max(0, self._top - gone)
            self._opened = None
            self.redraw()

    # Rows

    def nothing(self) -> str:
        """Return what is said where there are no lines."""
        if self.tailing:
            return "Nothing was printed yet."
        if self._only_problems:
            return "No warnings, no errors. w lists everything again."
        return "What happens in a run is listed here: phases, evaluations, checkpoints, answers, warnings."

    def text_of(self, item: LogLine) -> str:
        """Return the whole text of a line."""
        return item.detail

    def lines_of(self, item: LogLine, width: int, *, chosen: bool, opened: bool) -> list[Row]:
        """Return a line with its time, or its whole text."""
        margin = "" if self.tailing else item.time
        edge = R("quiet", margin, "accent", "▌ " if chosen else "  ") if margin else []
        if opened:
            texts = wrapped([(item.detail, item.role)], width - (_MARGIN if margin else 0))
            blank = [(" " * _MARGIN, "ink")] if margin else []
            return [[*(blank if i else edge), *row] for i, row in enumerate(texts)]
        note = f" {item.note}" if item.note else ""
        return [[*edge, (item.text, item.role), (note, "quiet")]]

    # What the keys do

    def action_tail(self) -> None:
        """Change between the events and the end of the console log."""
        if self._view is None:
            self.app.notify("There is no run yet, and nothing was printed.", markup=False)
            return
        self._begin(tail=not self.tailing)
        self._read_tail()

    def action_problems(self) -> None:
        """List only warnings and errors, or everything."""
        self._only_problems = not self._only_problems
        self._begin(tail=False)
