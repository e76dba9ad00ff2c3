"""The recipe as a form: what applies, grouped, with help and problems where they belong."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from textual.containers import Container
from textual.events import Key, Paste, Resize
from textual.widget import Widget
from textual.widgets import Input

from tuitune.recipe import FIELDS, Problem
from tuitune.text import clean_line
from tuitune.tui.edited import Edited
from tuitune.tui.kit.rows import R, Row
from tuitune.tui.panes.field_edit import FieldEdit
from tuitune.tui.panes.field_help import FieldHelp
from tuitune.tui.panes.form import Form
from tuitune.tui.panes.form_actions import NUMBERS, FormActions
from tuitune.tui.panes.form_body import FilterLine
from tuitune.tui.panes.form_changes import editable
from tuitune.tui.panes.form_steps import complaint, meant

_BESIDE = 72  # from this width on the help stands at the right
_FULL_HELP = 24  # from this height on it has five rows below, else two


class RecipePane(FormActions):
    """The form of a draft with the help for one field."""

    label, digit = "Recipe", "2"
    DEFAULT_CSS = """
    RecipePane .split { height: 1fr; layout: vertical; }
    RecipePane FieldHelp { height: 2; }
    RecipePane.-roomy FieldHelp { height: 5; padding-top: 1; }
    RecipePane.-tight FieldHelp { height: 1; }
    RecipePane.-beside .split { layout: horizontal; }
    RecipePane.-beside FieldHelp { height: 1fr; width: 34%; max-width: 60; padding: 0 0 0 2; }
    """

    def __init__(self, draft: Edited, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(draft, id=id, classes=classes)
        self._help = FieldHelp()
        self._unsubscribe: Callable[[], None] | None = None

    @property
    def meta(self) -> Row:
        """How much is wrong, or how much was changed."""
        levels = [problem.level for problem in self.draft.problems]
        errors, warnings, changed = levels.count("error"), levels.count("warning"), len(self.draft.changed)
        if errors:
            return R("error b", f"{errors} problem{'s' * (errors > 1)}")
        row = R("warn", "▲", "quiet", f" {warnings} warning{'s' * (warnings > 1)}") if warnings else []
        if changed:
            row = [*R("warn", f"▲ {warnings}  " if warnings else ""), *R("accent", "•", "quiet", f" {changed} changed")]
        return row

    def compose_body(self) -> Iterable[Widget]:
        """Yield the form and the help."""
        yield Container(self.body, self._help, classes="split")

    def on_mount(self) -> None:
        """Follow the draft."""
        self._unsubscribe = self.draft.subscribe(self._changed)
        self._show_help()

    def on_unmount(self) -> None:
        """Follow it no longer."""
        if self._unsubscribe is not None:
            self._unsubscribe()

    def on_resize(self, event: Resize) -> None:
        """Choose the place of the help."""
        width, height = event.size
        self.set_class(width >= _BESIDE, "-beside")
        self.set_class(height >= _FULL_HELP and width < _BESIDE, "-roomy")
        self.set_class(height < 8 and width < _BESIDE, "-tight")

    def focus_first(self) -> None:
        """Give the keys to the form."""
        self.form.focus()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave the keys to what is typed in, and esc to others while nothing is searched."""
        if action == "unfilter":
            return bool(self.form.view.query) and not self.body.typing
        return not self.body.typing or not hasattr(RecipePane, f"action_{action}")

    def on_key(self, event: Key) -> None:
        """Begin a new value with the key, if it can be one and means nothing else."""
        key = self.cursor_key
        if self.body.typing or key is None or event.character is None or not event.is_printable or self.locked:
            return
        field = FIELDS.get(key)
        taken = self.screen.active_bindings
        # Where digits go to panes, a number would begin with some digits and not with others: enter begins it.
        number = field is not None and field.kind in NUMBERS and event.character in "0123456789." and "1" not in taken
        free = editable(key) and event.key not in taken
        if number or (free and (field is None or field.kind not in NUMBERS)):
            event.stop()
            self.body.begin(event.character)

    def on_paste(self, event: Paste) -> None:
        """Begin a new value with what is pasted."""
        key, text = self.cursor_key, clean_line(event.text)
        if text and key is not None and editable(key) and not self.body.typing and not self.locked:
            event.stop()
            self.body.begin(text)

    def on_form_moved(self, message: Form.Moved) -> None:
        """Show the help of the field."""
        message.stop()
        self._show_help()

    def on_form_pressed(self, message: Form.Pressed) -> None:
        """Edit what was pressed twice."""
        message.stop()
        self.action_edit()

    def on_field_edit_done(self, message: FieldEdit.Done) -> None:
        """Keep what was typed."""
        message.stop()
        self.body.end()
        if message.text is not None and not self._refused():
            self._changes.typed(message.edit.key, message.text)
        if message.step:
            self.form.move(message.step)
        self._show_help()

    def on_input_changed(self, message: Input.Changed) -> None:
        """Search, or check what is typed."""
        message.stop()
        if isinstance(message.input, FilterLine):
            self.form.seek(message.value.strip())
        elif isinstance(message.input, FieldEdit):
            key = message.input.key
            problem = complaint(key, meant(key, message.value), self.draft.values, self.draft.purpose)
            message.input.set_class(problem is not None and problem.level == "error", "-wrong")
            self._show_help(problem, typed=True)

    def on_filter_line_left(self, message: FilterLine.Left) -> None:
        """Give the keys back to the fields."""
        message.stop()
        if message.ended or not self.form.view.query:
            self.body.search(False)
        else:
            self.form.focus()

    def _changed(self) -> None:
        if self.is_mounted:
            self.form.refill()
            self.body.follow()
            self.retitle()
            self._show_help()

    def _show_help(self, problem: Problem | None = None, *, typed: bool = False) -> None:
        line = None if self.locked else self.form.line
        shown = problem if typed else line.problem if line is not None else None
        self._help.show(line, self.draft.base_values, self.draft.origin, shown)
