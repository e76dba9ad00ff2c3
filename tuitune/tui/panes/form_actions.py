"""What the keys of the recipe form do: move, edit, step, search, undo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from textual.binding import Binding, BindingType

from tuitune.recipe import FIELDS, Field
from tuitune.recipe.yamltext import dump
from tuitune.text import clean
from tuitune.tui.asking import Picker, PickItem
from tuitune.tui.edited import Edited
from tuitune.tui.kit.pane import Pane
from tuitune.tui.panes.form_body import FormBody
from tuitune.tui.panes.form_changes import FormChanges, editable, in_force
from tuitune.tui.panes.form_words import CHOICES, UNSET

NUMBERS = ("number", "whole", "share")
_ALL = 10_000


class FormActions(Pane):
    """A pane with the form of a draft, and its keys."""

    HELP: ClassVar[str] = """
# Recipe

What the run is asked for: the fields that mean something with the values beside them, named as in the YAML.
• marks what differs from the preset or file, ▲ what has a problem; what is grey is left at its default.

While you edit: enter, up and down keep the value, esc leaves it as it was. An empty value is the default.
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, id="recipe.up", tooltip="the field above"),
        Binding("down,j", "move(1)", "Down", show=False, id="recipe.down", tooltip="the field below"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="recipe.pageup", tooltip="a page up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="recipe.pagedown", tooltip="a page down"),
        Binding("home", "first", "First", show=False, id="recipe.first", tooltip="the first field"),
        Binding("end", "last", "Last", show=False, id="recipe.last", tooltip="the last field"),
        Binding("enter", "edit", "Edit", id="recipe.edit", tooltip="edit, toggle, or choose from a list"),
        Binding("space", "turn", "Toggle", show=False, id="recipe.toggle", tooltip="turn a flag on or off"),
        Binding("left", "cycle(-1)", "Before", show=False, id="recipe.before", tooltip="the choice or number before"),
        Binding("right", "cycle(1)", "After", show=False, id="recipe.after", tooltip="the choice or number after"),
        Binding("plus", "step(1)", "More", show=False, id="recipe.more", tooltip="a sensible step up"),
        Binding("minus", "step(-1)", "Less", show=False, id="recipe.less", tooltip="a sensible step down"),
        Binding("delete,backspace", "reset", "Default", show=False, id="recipe.reset", tooltip="back to the default"),
        Binding("ctrl+z", "undo", "Undo", show=False, id="recipe.undo", tooltip="take the last edit back"),
        Binding("ctrl+y", "redo", "Redo", show=False, id="recipe.redo", tooltip="make the edit again"),
        Binding("a", "all", "All fields", show=False, id="recipe.all", tooltip="all that apply, or the essential ones"),
        Binding("slash", "filter", "Search", show=False, id="recipe.filter", tooltip="search names and help"),
        Binding(
            "escape", "unfilter", "End the search", show=False, id="recipe.unfilter", tooltip="show the form again"
        ),
        Binding("y", "copy", "Copy", show=False, id="recipe.copy", tooltip="copy the line as YAML"),
    ]

    def __init__(self, draft: Edited, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.draft = draft
        self.body = FormBody(draft)
        self.form = self.body.form
        self._changes = FormChanges(draft)

    @property
    def cursor_key(self) -> str | None:
        """The key of the field under the cursor."""
        return self.form.cursor_key

    def go_to(self, key: str) -> None:
        """Put the cursor on a key, which is shown even if the form would leave it out."""
        if not self.form.go(key):
            view = self.form.view
            if view.query:
                self.body.search(False)
            self.form.look(replace(view, query="", revealed=view.revealed | {key}))
            self.form.go(key)

    def action_move(self, step: int) -> None:
        """Move the cursor."""
        self.form.move(step)

    def action_page(self, step: int) -> None:
        """Move the cursor by a page."""
        self.form.move(step * self.form.page())

    def action_first(self) -> None:
        """Go to the first field."""
        self.form.move(-_ALL)

    def action_last(self) -> None:
        """Go to the last field."""
        self.form.move(_ALL)

    def action_edit(self) -> None:
        """Edit the field: type, toggle or choose."""
        key = self.cursor_key
        if key is None or self._refused():
            return
        field = FIELDS.get(key)
        if field is None or editable(key):
            self.body.begin()
        elif field.kind == "flag":
            self._say(self._changes.toggle(field))
        else:
            self._pick(field)

    def action_turn(self) -> None:
        """Turn a flag on or off; other fields are edited."""
        self.action_edit()

    def action_cycle(self, step: int) -> None:
        """Take the next choice or number."""
        field = self._field()
        if field is not None and field.kind == "choice":
            self._say(self._changes.cycle(field, step))
        elif field is not None:
            self.action_step(step)

    def action_step(self, direction: int) -> None:
        """Make a number a step larger or smaller."""
        field = self._field()
        if field is None:
            return
        if field.kind in NUMBERS:
            self._say(self._changes.step(field, in_force(field, self.draft), direction))
        elif field.kind == "flag":
            self._say(self._changes.toggle(field))
        elif field.kind == "choice":
            self._say(self._changes.cycle(field, direction))
        else:
            self._say(f"{field.name} is typed: press enter")

    def action_reset(self) -> None:
        """Go back to the default."""
        if self.cursor_key is not None and not self._refused():
            self._say(self._changes.reset(self.cursor_key))

    def action_undo(self) -> None:
        """Take the last edit back."""
        self._travelled(self.draft.undo(), "there is nothing to take back")

    def action_redo(self) -> None:
        """Make the edit again that was taken back."""
        self._travelled(self.draft.redo(), "there is nothing to make again")

    def action_all(self) -> None:
        """Show all fields that apply, or the essential and the given ones."""
        view = self.form.view
        self.form.look(replace(view, everything=not view.everything, revealed=frozenset()))

    def action_filter(self) -> None:
        """Search the fields."""
        if not self._refused():
            self.body.search(True)

    def action_unfilter(self) -> None:
        """End the search."""
        self.body.search(False)

    def action_copy(self) -> None:
        """Copy the field as a line of YAML."""
        key = self.cursor_key
        if key is not None:
            field = FIELDS.get(key)
            value = in_force(field, self.draft) if field is not None else self.draft.values.get(key)
            copy: Callable[[str], None] = getattr(self.app, "copy", self.app.copy_to_clipboard)
            copy(f"{dump(key)}: {dump(value)}")

    def _travelled(self, done: bool, otherwise: str) -> None:
        if not done:
            self._say(otherwise)
        elif self.draft.cursor in FIELDS:
            self.go_to(self.draft.cursor)

    def _pick(self, field: Field) -> None:
        now = in_force(field, self.draft)

        def chosen(answer: str | None) -> None:
            if answer is not None and not self._refused():
                self._say(self._changes.choose(field, answer or None))

        self.app.push_screen(Picker(field.name, _items(field), chosen="" if now is None else str(now)), chosen)

    def _field(self) -> Field | None:
        key = self.cursor_key
        return None if key is None or self._refused() else FIELDS.get(key)

    @property
    def locked(self) -> bool:
        return self.draft.document is None

    def _refused(self) -> bool:
        """Say why nothing can be edited, if so."""
        if self.locked:
            self._say("the text is no recipe yet: mend it in the YAML view (ctrl+t), or undo")
        return self.locked

    def _say(self, text: str) -> None:
        if text:
            self.notify(clean(text), markup=False)


def _items(field: Field) -> list[PickItem]:
    """Return the choices of a field with a word on each; nothing at all is one where that may be."""
    none = [PickItem("", UNSET.get(field.name, "not set"), "default")] if field.nullable else []
    words = CHOICES.get(field.name, {})
    notes = {each: ", ".join(filter(None, (words.get(each), "default" * (each == field.default))))
             for each in field.choices}  # fmt: skip
    return [*none, *(PickItem(each, each, notes[each]) for each in field.choices)]
