"""The Rows pane: the list of examples, a search over their text, and filters."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input

from tuitune.text import clean_line
from tuitune.tui.kit.pane import Pane
from tuitune.tui.kit.rows import R, Row
from tuitune.tui.panes.data_list import RowList
from tuitune.tui.panes.find_line import FindLine
from tuitune.tui.panes.model_search import Glass

if TYPE_CHECKING:
    from numpy import int64
    from numpy.typing import NDArray

    from tuitune.data.look import Look
    from tuitune.data.look_side import Side
    from tuitune.tui.app import TuiTune

_PAUSE = 0.25  # seconds without a key, after which a search begins
_SHOWN_EVERY = 0.3  # seconds between two looks at what was found so far
_NAMES = {
    "all": "all", "cut": "cut", "twice": "duplicates", "unended": "no end", "untrained": "untrained",
    "longest": "longest first", "bad": "left out",
}  # fmt: skip


class RowSearch(FindLine):
    """Words to search for, the number of an example, or file:row."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("down,enter", "list", "To the list", show=False, id="data.tolist", tooltip="go to the rows found"),
        Binding("escape", "clear", "End the search", show=False, id="data.clear", tooltip="all rows again"),
    ]


class RowsPane(Pane):
    """Lists the examples of a split as `filtered` and searched."""

    label = "Rows"
    digit = "1"
    HELP = """
# Rows

The examples of the data, in the order of the files: number, first words, tokens, trained tokens, and what is to be
said about them: `c` cut to cutoff_len, `d` a duplicate, `e` the end of an answer is not trained.

- **/** searches the text; `#17` goes to an example, `rows.json:44` or `:44` to a row of a file
- **f** filters: cut, duplicates, no end, left out with the reason, longest first
- **e** changes between training and evaluation
- **enter** goes to the tokens
"""
    if TYPE_CHECKING:
        app: TuiTune

    class Found(Message):
        """More examples that hold the words were found; `over`: these are all."""

        def __init__(self, search: threading.Event, places: NDArray[int64], over: bool) -> None:
            super().__init__()
            self.search, self.places, self.over = search, places, over

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:  # noqa: A002
        super().__init__(id=id, classes=classes)
        self.list, self.line = RowList(), RowSearch(placeholder="words, #number, or file:row")
        self.filtered = "all"
        self._look: Look | None = None
        self._side: Side | None = None
        self._search: threading.Event | None = None  # set when it is not wanted any more
        self._timer: Timer | None = None

    @property
    def meta(self) -> Row:
        """What is listed, and how much."""
        if self._side is None:
            return []
        going = R("accent", "searching ") if self._search is not None else []
        split = R("eval", "evaluation ") if self._look is not None and self._side is not self._look.train else []
        role = "quiet" if self.filtered == "all" else "accent"
        return [*going, *split, *R(role, f"{_NAMES[self.filtered]} ", "ink", f"{len(self.list):,}")]

    def compose_body(self) -> Iterable[Widget]:
        """Yield the search and the list."""
        with Horizontal(classes="search"):
            yield Glass()
            yield self.line
        yield self.list

    def focus_first(self) -> None:
        """Give the keys to the list."""
        self.list.focus()

    def show(self, look: Look | None, side: Side | None) -> None:
        """List the examples of a split."""
        self._look, self._side = look, side
        if self.filtered == "bad" and look is not None and not look.report.bad:
            self.filtered = "all"
        self._list(keep=True)

    def filter(self, which: str) -> None:
        """List only some of them."""
        self.filtered = which
        self._list(keep=True)

    def counts(self) -> list[tuple[str, str, int]]:
        """Return every filter: its key, its name, and how many rows it lets through."""
        if self._look is None or self._side is None:
            return []
        side = self._side
        return [
            (key, name, len(self._look.report.bad) if key == "bad" else len(side.places(key)))  # type: ignore[arg-type]
            for key, name in _NAMES.items()
        ]

    # -- what is listed ----------------------------------------------------------------------------------------

    def _list(self, *, keep: bool) -> None:
        self._end_search()
        words = self.line.value.strip()
        if self._look is None or self._side is None:
            self.list.show(None, None, "")
        elif self.filtered == "bad":
            self.list.show_bad(self._look.report.bad)
        else:
            places = self._side.places(self.filtered)  # type: ignore[arg-type]
            place = self._named(words)
            if words and place is None:
                self._begin_search(words, places)
            else:
                self.list.show(self._side, places, "no example is so", keep=keep)
                self._go_to(place)
        self.retitle()

    def _named(self, words: str) -> int | None:
        """Return the example that `#17` or `file:44` names."""
        file, mark, number = words.rpartition("#" if words.startswith("#") else ":")
        if not mark or not number.isascii() or not number.isdigit() or self._side is None:
            return None
        if mark == ":":
            return self._side.find(int(number), file)
        return int(number) - 1 if 1 <= int(number) <= len(self._side) else None

    def _go_to(self, place: int | None) -> None:
        row = self.list.row_of(place) if place is not None else None
        if row is not None:
            self.list.go_to(row)
        elif place is not None and self.filtered != "all":
            self.filter("all")

    def _begin_search(self, words: str, places: NDArray[int64]) -> None:
        side, over = self._side, threading.Event()
        assert side is not None
        self._search = over
        self.list.show(side, places[:0], f"nothing holds {clean_line(words)!r}")

        def work() -> None:
            import numpy as np

            found, told = places[:0], time.monotonic()
            for some in side.search(words, places):
                if over.is_set():
                    return
                found = np.concatenate((found, some)) if len(some) else found
                if time.monotonic() - told > _SHOWN_EVERY:
                    told = time.monotonic()
                    self.post_message(self.Found(over, found, False))
            self.post_message(self.Found(over, found, True))

        self.run_worker(work, thread=True, group="data-search", exit_on_error=False, description="search the data")

    def _end_search(self) -> None:
        if self._search is not None:
            self._search.set()
            self._search = None

    def on_rows_pane_found(self, message: Found) -> None:
        """List what was found so far."""
        message.stop()
        if message.search is not self._search:
            return
        if message.over:
            self._search = None
        self.list.grow(message.places)
        self.retitle()

    def on_unmount(self) -> None:
        """Search no longer."""
        self._end_search()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search when the typing pauses."""
        event.stop()
        if self._timer is not None:
            self._timer.stop()
        self._timer = self.set_timer(_PAUSE, lambda: self._list(keep=True))

    def on_find_line_left(self, message: FindLine.Left) -> None:
        """Give the keys to the list."""
        message.stop()
        self.list.focus()
