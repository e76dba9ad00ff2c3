"""The form with what may lie over it: the search line on its first row, an editor on a value."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal
from textual.content import Content
from textual.events import Resize
from textual.message import Message
from textual.widgets import Static

from tuitune.tui.edited import Edited
from tuitune.tui.kit.glyphs import ascii_text
from tuitune.tui.panes.field_edit import FieldEdit, LineInput
from tuitune.tui.panes.form import Form
from tuitune.tui.panes.form_words import written


class Glass(Static):
    """The sign before the search line."""

    def render(self) -> Content:
        """Return the sign."""
        return Content(ascii_text("⌕") if getattr(self.app, "ascii_glyphs", False) else "⌕")


class FilterLine(LineInput):
    """The words that the fields shown must have."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave(True)", "End the search", show=False, id="filter.drop", tooltip="show the form again"),
        Binding("enter,down", "leave", "To the fields", show=False, id="filter.keep", tooltip="go to the fields found"),
    ]

    class Left(Message):
        """The fields should have the keys again; `ended` when the search is over."""

        def __init__(self, ended: bool) -> None:
            super().__init__()
            self.ended = ended

    def action_leave(self, ended: bool = False) -> None:
        """Go back to the fields."""
        self.post_message(self.Left(ended))


class FormBody(Container):
    """Holds the form, and at most one editor over it."""

    DEFAULT_CSS = """
    FormBody { height: 1fr; width: 1fr; layers: base above; }
    FormBody Form { height: 1fr; }
    FormBody .search { height: 1; display: none; }
    FormBody Glass { width: 3; height: 1; color: $quiet; }
    FormBody FilterLine { width: 1fr; }
    """

    def __init__(self, draft: Edited) -> None:
        super().__init__()
        self.draft = draft
        self.form = Form(draft)
        self.filter = FilterLine(placeholder="a name, or a word of the help")
        self._search = Horizontal(Glass(), self.filter, classes="search")
        self._edit: FieldEdit | None = None

    def compose(self) -> ComposeResult:
        """Put the search line above the form."""
        yield self._search
        yield self.form

    @property
    def typing(self) -> bool:
        """Whether the keys are letters now."""
        return self._edit is not None or self.filter.has_focus

    @property
    def edit(self) -> FieldEdit | None:
        """The editor that is open."""
        return self._edit

    def begin(self, typed: str = "") -> None:
        """Open an editor on the field under the cursor; `typed` takes the place of its value."""
        line = self.form.line
        if line is None or self._edit is not None or self.form.content_size.height < 1:
            return
        self._edit = FieldEdit(line.key, written(line.key, self.draft.values.get(line.key)), typed)
        self._lay()
        self.mount(self._edit)
        self._edit.focus()

    def end(self) -> None:
        """Take the editor away; the keys go to the form unless the user has gone elsewhere."""
        edit, self._edit = self._edit, None
        if edit is None:
            return
        if edit.has_focus:
            self.form.focus()
        edit.remove()

    def follow(self) -> None:
        """Keep the editor on its field after the draft has changed; without the field it ends."""
        if self._edit is None:
            return
        if self.form.cursor_key == self._edit.key or self.form.go(self._edit.key):
            self._lay()
        else:
            self.end()

    def search(self, shown: bool) -> None:
        """Show the search line and give it the keys, or take it away."""
        self._search.display = shown
        if shown:
            self.filter.focus()
        else:
            self.filter.value = ""
            self.form.focus()

    def on_resize(self, event: Resize) -> None:
        """Keep the editor on its value."""
        if self._edit is not None:
            self.call_after_refresh(self._lay)

    def _lay(self) -> None:
        if self._edit is not None and self.form.line is not None:
            column, row, width = self.form.spot()
            self._edit.lay((column, row + bool(self._search.display), width))
