"""A line of text laid over the value that it changes: as the form draws it, with a cursor in it."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Blur, Paste
from textual.message import Message
from textual.widgets import Input

from tuitune.text import clean_line


class LineInput(Input):
    """An input without a frame that takes several pasted lines as one."""

    DEFAULT_CSS = """
    LineInput, LineInput:focus {
        border: none; padding: 0; height: 1; background: $lift; color: $strong; background-tint: $lift 0%;
    }
    """

    def __init__(self, value: str = "", placeholder: str = "") -> None:
        super().__init__(value, placeholder=placeholder, compact=True, select_on_focus=False)

    async def _on_paste(self, event: Paste) -> None:  # type: ignore[override]  # either will do for Textual
        event.stop()
        event.prevent_default()
        start, end = self.selection
        self.replace(clean_line(event.text), min(start, end), max(start, end))


class FieldEdit(LineInput):
    """Edits the value of `key`; says once that it is done."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "cancel", "Cancel", show=False, id="field.cancel", tooltip="leave the value as it was"),
        Binding("up", "keep(-1)", "Keep, one up", show=False, id="field.up", tooltip="keep the value and go up"),
        Binding("down", "keep(1)", "Keep, one down", show=False, id="field.down", tooltip="keep the value and go down"),
        Binding("enter", "keep(0)", "Keep", show=False, id="field.keep", tooltip="keep the value"),
    ]
    DEFAULT_CSS = """
    FieldEdit { layer: above; position: absolute; }
    FieldEdit.-wrong, FieldEdit.-wrong:focus { color: $error; }
    """

    class Done(Message):
        """The editing is over; `text` is None when it was cancelled, `step` is where the cursor goes."""

        def __init__(self, edit: FieldEdit, text: str | None, step: int) -> None:
            super().__init__()
            self.edit, self.text, self.step = edit, text, step

    def __init__(self, key: str, value: str, typed: str = "") -> None:
        super().__init__(typed or value)
        self.key, self.before = key, value
        self._over = False

    def on_mount(self) -> None:
        """Go on behind what stands there."""
        self.cursor_position = len(self.value)

    def lay(self, spot: tuple[int, int, int]) -> None:
        """Lie over a value: column, row and width."""
        self.styles.offset = spot[:2]
        self.styles.width = spot[2]

    def action_keep(self, step: int) -> None:
        """Take the text as the value."""
        self._end(self.value, step)

    def action_cancel(self) -> None:
        """Leave the value as it was."""
        self._end(None, 0)

    def on_blur(self, event: Blur) -> None:
        """Take the text when the user goes elsewhere."""
        if self.is_attached and not self.app.app_focus:
            return  # the terminal lost the focus, not this line
        self._end(self.value, 0)

    def _end(self, text: str | None, step: int) -> None:
        if not self._over:
            self._over = True
            self.post_message(self.Done(self, None if text == self.before else text, step))
