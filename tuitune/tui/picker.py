"""A list to choose from that is searched by typing: presets, files, runs, the values of a field."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget
from textual.widgets import Input

from tuitune.text import clean_line
from tuitune.tui.box import Box, Boxed, Lines, Says
from tuitune.tui.found import NOTHING_FITS, Found, PickItem, widest
from tuitune.tui.kit.rows import R, Row

_LEAST_BOX, _MOST_BOX = 72, 140  # cells
_BESIDE = 11  # cells of a row that are neither title nor note: frame, mark, gaps


class Picker(Boxed[str]):
    """A searchable list; the answer is the key of the chosen item, None after escape.

    Without items it is open at once, and is filled when they are known: one may type, and enter waits for them.
    """

    DEFAULT_CSS = """
    Picker Input, Picker Input:focus { border: none; height: 1; padding: 0 1; background: $lift; color: $strong; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Previous", id="picker.up", priority=True),
        Binding("down", "move(1)", "Next", id="picker.down", priority=True),
        Binding("pageup", "page(-1)", "Page up", id="picker.pageup", priority=True),
        Binding("pagedown", "page(1)", "Page down", id="picker.pagedown", priority=True),
        Binding("enter", "choose", "Choose", id="picker.choose", priority=True),
    ]

    def __init__(
        self,
        title: str,
        items: Sequence[PickItem] | None,
        *,
        placeholder: str = "type to search",
        chosen: str | None = None,
    ) -> None:
        super().__init__()
        self._title, self._items, self._placeholder, self._wanted = title, items or (), placeholder, chosen
        self.known = items is not None  # whether it has been found out what there is
        self.waits = False  # enter was pressed before there was a list
        self._found: Found | None = None

    @property
    def _at(self) -> int:
        return next((n for n, item in enumerate(self._items) if item.key == self._wanted), 0)

    def fill(self, items: Sequence[PickItem]) -> None:
        """Show what was found meanwhile; where enter was pressed already, choose."""
        self._items, self.known = items, True
        self._widen()
        if self._found is None:
            return  # it is laid out with them
        text = next((field.value for field in self.query(Input)), "")
        self._found.none = NOTHING_FITS
        self._found.fill(items, text, 0 if text else self._at)
        if self.waits:
            self.waits = False
            self.action_choose()

    def content(self) -> Iterable[Widget]:
        """Yield title, input and list."""
        yield Says(self._title)
        yield Input(placeholder=clean_line(self._placeholder))
        self._found = Found(self._items, self._at)
        self._found.none = NOTHING_FITS if self.known else "looking ..."
        yield self._found
        yield Hints()

    def on_mount(self) -> None:
        """Take the width that the notes need."""
        super().on_mount()
        self._widen()

    def _widen(self) -> None:
        titles, notes = (widest(getattr(each, of) for each in self._items) for of in ("title", "note"))
        for box in self.query(Box):
            box.styles.width = max(_LEAST_BOX, min(_MOST_BOX, titles + notes + _BESIDE))

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search."""
        event.stop()
        if event.value or self.query_one(Found).items != list(self._items):
            self.query_one(Found).search(event.value)

    def on_found_clicked(self, event: Found.Clicked) -> None:
        """Choose what is under the mouse."""
        event.stop()
        self.action_choose()

    def action_move(self, by: int) -> None:
        """Go up or down."""
        self.query_one(Found).move(by)

    def action_page(self, by: int) -> None:
        """Go a page up or down."""
        found = self.query_one(Found)
        found.move(by * max(2, found.size.height - 1))

    def action_choose(self) -> None:
        """Answer with the item under the cursor, as soon as there are items."""
        found = self._found
        self.waits = not self.known
        if found is not None and found.items:
            self.answer(found.items[found.at].key)


class Hints(Lines):
    """The keys of a list."""

    DEFAULT_CSS = "Hints { margin-top: 1; }"

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the keys."""
        keys = (("↑↓", "move"), ("enter", "choose"), ("esc", "leave"))
        return [[span for key, text in keys for span in R("accent", key, "quiet", f" {text}   ")]]
