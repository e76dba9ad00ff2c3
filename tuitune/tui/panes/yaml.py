"""The recipe as text: what the form edits too, with every problem where it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, ClassVar

from textual.app import SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import TextArea

from tuitune.errors import TuiTuneError
from tuitune.recipe import Problem
from tuitune.text import clean_line
from tuitune.tui import outside
from tuitune.tui.draft import Draft, Verdict, judge
from tuitune.tui.kit.drawn import Drawn
from tuitune.tui.kit.pane import Pane
from tuitune.tui.kit.rows import R, Row, split, width_of
from tuitune.tui.panes.command import CommandPane
from tuitune.tui.panes.editor import Editor, Marks, said
from tuitune.tui.panes.field_help import ended
from tuitune.tui.panes.wrapping import wrapped

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

__all__ = ["CommandPane", "YamlPane"]

_PAUSE = 0.15  # seconds without a key, after which a long text is judged
_SHARE = 3  # the words at the foot take at most one row of so many
_LEAST = 20  # cells for them


class Foot(Drawn):
    """The problem of the cursor's line in full, or one that has no line; and where the cursor is.

    It is as high as the words need, up to a share of the pane.
    """

    def __init__(self, draft: Draft, editor: Editor) -> None:
        super().__init__(id="yaml-foot")
        self._draft, self._editor = draft, editor

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the words, and where the cursor is at the right of their first row."""
        where, lines = self._where(), self._lines(width)
        rows = [split(lines[0] if lines else [], where, width), *lines[1:]]
        if len(rows) <= height or not height:
            return rows
        return [*rows[: height - 1], ended(rows[height - 1], width)]

    def follow(self) -> None:
        """Show what is said of the line now, in as many rows as it needs."""
        if (width := self.content_size.width) and self.parent is not None:
            lent = getattr(self.parent, "size", self.size)
            if self.get_content_height(lent, self.app.size, width) != self.content_size.height:
                self.refresh(layout=True)
        self.redraw()

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return the rows of the words, where the pane has so many to lend."""
        return max(1, min(len(self._lines(width)), container.height // _SHARE))

    def _where(self) -> Row:
        row = self._editor.selection.end[0]
        return R("quiet", "  line ", "ink", f"{row + 1:,}", "quiet", f" of {self._editor.document.line_count:,}")

    def _lines(self, width: int) -> list[Row]:
        """Return the problem in rows that leave room for where the cursor is."""
        problem = self._problem(self._editor.selection.end[0])
        return wrapped(problem, max(_LEAST, width - width_of(self._where()))) if problem else []

    def _problem(self, row: int) -> Row:
        problem = self._editor.marks.problems.get(row)
        problem = problem or next((each for each in self._draft.problems if each.line is None), None)
        if problem is None:
            return []
        key = R("strong", f"{clean_line(problem.key)} ") if problem.key else []
        return [*said(problem)[:1], *key, *said(problem)[1:]]


class YamlPane(Pane):
    """The text of the draft with its problems; edits here and in the form are the same steps."""

    HELP = """\
# The recipe as YAML

The text is the recipe: what you change here shows in the form at once, and the other way round. A line that is wrong
says so at its end; `•` marks what differs from the file or preset.

`ctrl+z` takes a step back, `ctrl+y` makes it again; `esc` goes back to the form.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f8", "problem(1)", "Next problem", id="recipe.problem", tooltip="go to what is wrong"),
        Binding("shift+f8", "problem(-1)", "Previous problem", show=False, id="recipe.problem_back",
                tooltip="go back to what is wrong"),
        Binding("f12", "editor", "Own editor", id="recipe.editor", tooltip="edit this text in $VISUAL or $EDITOR"),
    ]  # fmt: skip
    DEFAULT_CSS = "Foot { height: auto; }"
    if TYPE_CHECKING:
        app: TuiTune

    def __init__(self, draft: Draft, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self._draft = draft
        self.label = clean_line(draft.title)
        self.editor = Editor(draft)
        self._foot = Foot(draft, self.editor)
        self._timer: Timer | None = None
        self._judging = False
        self._end: Callable[[], None] = lambda: None

    @property
    def meta(self) -> Row:
        """How much is wrong."""
        errors = sum(problem.level == "error" for problem in self._draft.problems)
        warnings = len(self._draft.problems) - errors
        count, word, role = (errors, "problem", "error b") if errors else (warnings, "warning", "warn")
        if not count:
            return []
        return R(role, f"{count:,} {word}{'s' * (count > 1)}", "accent", "   f8", "quiet", " next")

    def compose_body(self) -> Iterable[Widget]:
        """Yield the text and the line below it."""
        yield self.editor
        yield self._foot

    def on_mount(self) -> None:
        """Follow the draft."""
        self._end = self._draft.subscribe(self.show)
        self.show()

    def on_unmount(self) -> None:
        """Follow it no longer."""
        self._end()

    def show(self) -> None:
        """Show what the draft is now."""
        self.label = clean_line(self._draft.title)
        self.editor.take()
        if self._draft.pending:
            self._judge_soon()
        else:
            self.editor.mark(self._marks())
        self.retitle()
        self._foot.follow()

    def _marks(self) -> Marks:
        problems: dict[int, Problem] = {}
        for problem in sorted(self._draft.problems, key=lambda each: each.level != "error"):
            if problem.line is not None:
                problems.setdefault(problem.line - 1, problem)
        document = self._draft.document
        lines = [document.line(key) for key in self._draft.changed] if document is not None else []
        return Marks(problems, frozenset(line - 1 for line in lines if line is not None))

    def _judge_soon(self) -> None:
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(_PAUSE, self._judge)

    def _judge(self) -> None:
        if self._judging or not self._draft.pending:
            return
        text, source = self._draft.text, self._draft.source
        self._judging = True

        def work() -> None:
            verdict = judge(text, source)
            self.app.call_from_thread(self._judged, verdict)

        self.run_worker(work, thread=True, group="judge", exit_on_error=False, description="check the text")

    def _judged(self, verdict: Verdict) -> None:
        self._judging = False
        self._draft.settle(verdict)
        if self._draft.pending:  # it went on changing meanwhile
            self._judge_soon()

    def on_text_area_selection_changed(self, event: TextArea.SelectionChanged) -> None:
        """Show where the cursor is."""
        self._foot.follow()

    def action_problem(self, step: int) -> None:
        """Go to the next line that has a problem, or to the one before."""
        found = self.editor.marks.problems
        worst = "error" if any(problem.level == "error" for problem in found.values()) else "warning"
        rows = sorted(row for row, problem in found.items() if problem.level == worst)
        if not rows:
            self.app.say(
                "nothing is wrong with the recipe" if not self._draft.problems else "see the line below the text"
            )
            return
        here = self.editor.selection.end[0]
        later = [row for row in rows if (row > here if step > 0 else row < here)]
        self._go_to_row((later or rows)[0 if step > 0 else -1])

    def go_to(self, key: str) -> bool:
        """Put the cursor on the value of a key; return whether the text has it."""
        line = self._draft.document.line(key) if self._draft.document is not None else None
        if line is None:
            return False
        self._go_to_row(line - 1)
        return True

    def _go_to_row(self, row: int) -> None:
        self.editor.focus()
        self.editor.cursor_to_value(row)

    def action_editor(self) -> None:
        """Hand the text to the user's own editor; what comes back is one step."""
        try:
            with self.app.suspend():
                text = outside.edited(self._draft.text, self._draft.title)
        except SuspendNotSupported:
            self.app.say("there is no terminal here to lend to an editor: edit the text in place", "warning")
        except TuiTuneError as error:
            self.app.say_error(error)
        else:
            self._draft.replace(text, later=self.editor.is_long)
        self.editor.focus()
