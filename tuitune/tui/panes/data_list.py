"""The list of examples: only what is in view is decoded, so a million rows scroll like ten."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from tuitune.text import clean_line
from tuitune.tui.kit.cursor import CursorList, cursor_keys
from tuitune.tui.kit.rows import R, Row, split
from tuitune.tui.kit.wrapping import wrapped

if TYPE_CHECKING:
    from numpy import int64
    from numpy.typing import NDArray

    from tuitune.data.look_side import Side
    from tuitune.data.report import BadRow

_KNOWN = 4096  # examples whose first words are kept
_FLAGS = "cde"
_KEYS = (("enter", "open", "Its tokens", "open", "go to its tokens"),)


class RowList(CursorList):
    """Examples of a split, or rows that were left out, with a cursor."""

    BINDINGS: ClassVar[list[BindingType]] = cursor_keys("rows", "row", _KEYS, page_down="pagedown,space")

    class Moved(CursorList.Moved):
        """The cursor stands on another row."""

    class Opened(CursorList.Opened):
        """The tokens of the row are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._side: Side | None = None
        self.places: NDArray[int64] | None = None
        self._bad: Sequence[BadRow] = ()
        self._empty = ""
        self._words: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self.places) if self.places is not None else len(self._bad)

    @property
    def place(self) -> int | None:
        """The example under the cursor."""
        return int(self.places[self.at]) if self.places is not None and self.at < len(self.places) else None

    @property
    def bad(self) -> BadRow | None:
        """The row under the cursor that was left out."""
        return self._bad[self.at] if self.places is None and self.at < len(self._bad) else None

    def show(self, side: Side | None, places: NDArray[int64] | None, empty: str, *, keep: bool = False) -> None:
        """List the examples at `places`; with `keep` the cursor stays on its example where that is listed still."""
        before = self.place if keep and side is self._side else None
        if side is not self._side:
            self._words.clear()
        self._side, self.places, self._bad, self._empty = side, places, (), empty
        self.at = 0
        if before is not None and places is not None:
            found = (places == before).nonzero()[0]
            self.at = int(found[0]) if len(found) else 0
        self.moved()

    def grow(self, places: NDArray[int64]) -> None:
        """List more examples; the cursor and the first ones stay."""
        first = len(self) == 0
        self.places = places
        if first and len(places):
            self.moved()
        else:
            self.redraw()

    def show_bad(self, bad: Sequence[BadRow]) -> None:
        """List rows that were left out."""
        self.places, self._bad, self._empty, self.at = None, bad, "every row is used", 0
        self.moved()

    # -- drawing -----------------------------------------------------------------------------------------------

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the rows around the cursor."""
        if not len(self):
            return [R("quiet", " " + line) for line in wrapped(self._empty, width - 1)]
        draw = self._bad_row if self.places is None else self._row
        return [self.pointed(draw(n, width - 1), n, width) for n in self.in_view(height)]

    def _bad_row(self, number: int, width: int) -> Row:
        bad = self._bad[number]
        file = clean_line(bad.file).rpartition("/")[2]
        return R("warn", f" {file}:{bad.row} ", "ink", clean_line(bad.reason))

    def _row(self, number: int, width: int) -> Row:
        side, places = self._side, self.places
        assert side is not None
        assert places is not None
        place = int(places[number])
        digits, wide = len(f"{len(side):,}"), len(f"{side.largest:,}") + 1
        flags = "".join(flag if on else " " for flag, on in zip(_FLAGS, side.flags(place), strict=True))
        left = R("quiet", f" {place + 1:>{digits},} ", "ink", self._beginning(side, place))
        lengths = R(
            "quiet",
            f" {side.lengths[place]:>{wide},}",
            "accent",
            f"{side.trained[place]:>{wide},}",
            "warn",
            f" {flags}",
        )
        return split(left, lengths, width, " ", "ink")

    def _beginning(self, side: Side, place: int) -> str:
        found = self._words.get(place)
        if found is None:
            if len(self._words) > _KNOWN:
                self._words.clear()
            found = self._words[place] = clean_line(side.beginning(place))
        return found

    def row_of(self, place: int) -> int | None:
        """Return where an example is listed."""
        if self.places is None:
            return None
        found = (self.places == place).nonzero()[0]
        return int(found[0]) if len(found) else None
