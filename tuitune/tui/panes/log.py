"""The Log pane: what happened in the run, newest first, or the end of what was printed."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Click, MouseScrollDown, MouseScrollUp
from textual.message import Message

from tuitune.tui.kit.pane import DrawnPane
from tuitune.tui.kit.rows import R, Row, grounded
from tuitune.tui.panes.wrapping import wrapped
from tuitune.tui.runview import LogLine, RunView
from tuitune.tui.tail import Tail

_MARGIN = 7  # the time of day and two blanks
_WHEEL = 3
_LOOK = ("warn", "error")
_KEYS = (
    ("up,k", "move(-1)", "Up", "log.up", "the line above"),
    ("down,j", "move(1)", "Down", "log.down", "the line below"),
    ("pageup", "page(-1)", "Page up", "log.page_up", "a page up"),
    ("pagedown", "page(1)", "Page down", "log.page_down", "a page down"),
    ("home,g", "edge(0)", "First line", "log.first", "the first line"),
    ("end,G", "edge(1)", "Last line", "log.last", "the last line"),
    ("enter,space", "open", "Whole text", "log.open", "the whole text of the line, or one row again"),
    ("t", "tail", "console.log", "log.tail", "the end of what was printed, or the events again"),
    ("w", "problems", "Problems", "log.problems", "only warnings and errors, or all lines"),
    ("y", "copy", "Copy", "log.copy", "copy the whole text of the line"),
)


class LogPane(DrawnPane):
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
        Binding(key, action, description, show=False, id=name, tooltip=tooltip)
        for key, action, description, name, tooltip in _KEYS
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
        self._lines: list[LogLine] = []
        self._at, self._top = 0, 0
        self._opened: LogLine | None = None
        self._only_problems = False
        self._tail: Tail | None = None
        self._reading = False
        self._first = 0
        self._spots: list[int] = []  # the line that each row of the body belongs to

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
            self._take(self._events())

    def _begin(self, *, tail: bool) -> None:
        self._lines, self._at, self._top, self._opened, self._first = [], 0, 0, None, 0
        self._drawn = ()
        self._tail = Tail(self._view.run.console) if tail and self._view is not None else None
        self._take([] if tail else self._events())

    def _events(self) -> list[LogLine]:
        lines = self._view.lines if self._view is not None else ()
        return [line for line in lines if not self._only_problems or line.role in _LOOK]

    def _take(self, lines: list[LogLine]) -> None:
        """Show other lines; the chosen one stays chosen unless it was the newest."""
        if self._at or self._opened is not None:
            chosen = self._lines[self._at] if self._at < len(self._lines) else None
            new = next((i for i, line in enumerate(lines) if line is chosen), self._at)
            if self._top:
                self._top = max(0, self._top + new - self._at)
            self._at = new
        self._lines = lines
        self.redraw()

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
        follows = self._at >= len(self._lines) - 1
        gone = message.first - self._first
        self._first = message.first
        if gone or [line.text for line in self._lines] != message.lines:
            self._lines = [LogLine(0.0, text, role="ink") for text in message.lines]
            self._at = max(0, len(self._lines) - 1 if follows else self._at - gone)
            self._top = max(0, self._top - gone)
            self._opened = None
            self.redraw()

    # Rows

    def body(self, width: int, height: int) -> list[Row]:
        """Return the lines that fit, the chosen one among them."""
        self._spots = []
        if not self._lines:
            return wrapped([(self._nothing(), "quiet")], width)
        self._at = min(self._at, len(self._lines) - 1)
        self._scroll(width, height)
        rows: list[Row] = []
        for index in range(self._top, len(self._lines)):
            if len(rows) >= height:
                break
            found = self._rows_of(index, width)
            rows += found
            self._spots += [index] * len(found)
        return rows

    def _scroll(self, width: int, height: int) -> None:
        """Move what is seen so far that the chosen line is in it."""
        self._top = max(0, min(self._top, self._at, len(self._lines) - 1))
        used = sum(len(self._rows_of(index, width)) for index in range(self._top, self._at + 1))
        while used > height and self._top < self._at:
            used -= len(self._rows_of(self._top, width))
            self._top += 1

    def _nothing(self) -> str:
        if self.tailing:
            return "Nothing was printed yet."
        if self._only_problems:
            return "No warnings, no errors. w lists everything again."
        return "What happens in a run is listed here: phases, evaluations, checkpoints, answers, warnings."

    def _rows_of(self, index: int, width: int) -> list[Row]:
        line = self._lines[index]
        chosen = index == self._at and self.has_focus
        margin = "" if self.tailing else line.time
        edge = R("quiet", margin, "accent", "▌ " if chosen else "  ") if margin else []
        if line is self._opened:
            texts = wrapped([(line.detail, line.role)], width - (_MARGIN if margin else 0))
            blank = [(" " * _MARGIN, "ink")] if margin else []
            rows = [[*(blank if i else edge), *row] for i, row in enumerate(texts)]
        else:
            note = f" {line.note}" if line.note else ""
            rows = [[*edge, (line.text, line.role), (note, "quiet")]]
        return [grounded([*row, (" " * width, "ink")], "sel") for row in rows] if chosen else rows

    # What the keys do

    def action_move(self, way: int) -> None:
        """Choose another line."""
        self._choose(self._at + way)

    def action_page(self, way: int) -> None:
        """Choose a line a page away."""
        self._choose(self._at + way * max(1, self.content_size.height - 2))

    def action_edge(self, end: int) -> None:
        """Choose the first or the last line."""
        self._choose(end * (len(self._lines) - 1))

    def _choose(self, index: int) -> None:
        self._at = max(0, min(index, len(self._lines) - 1))
        self.redraw()

    def action_open(self) -> None:
        """Show all of the chosen line, or one row of it."""
        chosen = self._chosen()
        self._opened = None if chosen is self._opened else chosen
        self.redraw()

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

    def action_copy(self) -> None:
        """Copy the whole text of the chosen line."""
        chosen, copy = self._chosen(), getattr(self.app, "copy", self.app.copy_to_clipboard)
        if chosen is not None:
            copy(chosen.detail)

    def _chosen(self) -> LogLine | None:
        return self._lines[self._at] if self._at < len(self._lines) else None

    def on_click(self, event: Click) -> None:
        """Choose the line under the mouse; a second click opens it."""
        focused = self.has_focus
        super().on_click(event)
        row = event.get_content_offset_capture(self).y - 1
        if not 0 <= row < len(self._spots):
            return
        again = self._spots[row] == self._at and focused
        self._choose(self._spots[row])
        if again:
            self.action_open()

    def on_mouse_scroll_up(self, event: MouseScrollUp) -> None:
        """Go up."""
        event.stop()
        self._choose(self._at - _WHEEL)

    def on_mouse_scroll_down(self, event: MouseScrollDown) -> None:
        """Go down."""
        event.stop()
        self._choose(self._at + _WHEEL)
