"""One example on a page: its parts below or beside each other, line by line as far as they are looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Literal

from tuitune.tui.kit.flow import Flow, Line

if TYPE_CHECKING:
    from tuitune.data.look_pieces import Token
    from tuitune.data.look_view import View

MARGIN = 12  # cells for the names of roles
_WITHMARGIN = 56  # cells of a column from which on they stand in the margin
_BETWEEN = 2
Kind = Literal["title", "role", "tokens", "ids", "blank"]


@dataclass(frozen=True, slots=True)
class Cell:
    """What one column has on a row: its title, the name of a role, or a line of tokens; `x` is where it begins."""

    x: int
    width: int
    block: int
    kind: Kind
    text: str = ""
    line: Line | None = None


@dataclass(frozen=True, slots=True)
class At:
    """The place of a token: which block of the example, and where in its sequence."""

    block: int
    position: int


class Page:
    """An example laid out for `width` cells; `beside`: whether parts may stand next to each other."""

    def __init__(
        self, view: View, width: int, *, prose: bool = False, ids: bool = False, gaps: bool = True, beside: bool = True
    ) -> None:
        self.view, self.width = view, width
        self._prose, self._ids, self._gaps, self._beside = prose, ids, gaps, beside
        self.flows: dict[int, Flow] = {}
        self._rows: list[list[Cell]] = []
        self._where: dict[tuple[int, int], int] = {}  # the row of each line of a block
        self._source = self._lay_out()

    def row(self, number: int) -> list[Cell] | None:
        """Return what stands on a row, None behind the last one."""
        while len(self._rows) <= number:
            if not self._more():
                return None
        return self._rows[number]

    def _more(self) -> bool:
        found = next(self._source, None)
        if found is not None:
            self._rows.append(found)
        return found is not None

    def find(self, at: At) -> int:
        """Return the row on which a token begins."""
        while at.block not in self.flows and self._more():
            pass
        if at.block not in self.flows:
            return 0
        line = self.flows[at.block].line_of(at.position)
        while (at.block, line) not in self._where and self._more():
            pass
        return self._where.get((at.block, line), 0)

    # -- where the tokens are ----------------------------------------------------------------------------------

    @property
    def first(self) -> At:
        """The first token."""
        block = next((n for n, each in enumerate(self.view.blocks) if each.stop > each.start), 0)
        return At(block, self.view.blocks[block].start if self.view.blocks else 0)

    @property
    def last(self) -> At:
        """The last token."""
        block = next((n for n, each in reversed(list(enumerate(self.view.blocks))) if each.stop > each.start), 0)
        return At(block, max(0, self.view.blocks[block].stop - 1) if self.view.blocks else 0)

    def token(self, at: At) -> Token | None:
        """Return the token at a place."""
        if at.block >= len(self.view.blocks):
            return None
        found = self.view.blocks[at.block].strand.tokens(at.position, at.position + 1)
        return found[0] if found else None

    def step(self, at: At, by: int) -> At:
        """Return the place so many tokens further on; it stops at either end."""
        blocks = self.view.blocks
        block, position = at.block, at.position + by
        while position >= blocks[block].stop and block + 1 < len(blocks):
            position += blocks[block + 1].start - blocks[block].stop
            block += 1
        while position < blocks[block].start and block > 0:
            position += blocks[block - 1].stop - blocks[block].start
            block -= 1
        return At(block, max(blocks[block].start, min(position, blocks[block].stop - 1)))

    def under(self, x: int, row: int) -> At | None:
        """Return the token at a cell, or the nearest one to its left on that row."""
        cells = [cell for cell in self.row(row) or () if cell.line is not None and cell.line.bits]
        if not cells:
            return None
        cell = next((cell for cell in reversed(cells) if cell.x <= x), cells[0])
        assert cell.line is not None
        token = cell.line.at(max(0, x - cell.x))
        return None if token is None else At(cell.block, token.position)

    def x_of(self, at: At, row: int) -> int:
        """Return the cell in which a token begins on a row."""
        for cell in self.row(row) or ():
            x = cell.x
            for bit in cell.line.bits if cell.line is not None and cell.block == at.block else ():
                if bit.token.position == at.position:
                    return x
                x += bit.width
        return 0

    # -- laying out --------------------------------------------------------------------------------------------

    def _lay_out(self) -> Iterator[list[Cell]]:
        for number, band in enumerate(self._bands()):
            if number:
                yield []
            width = (self.width - _BETWEEN * (len(band) - 1)) // len(band)
            columns = [self._column(block, n * (width + _BETWEEN), width) for n, block in enumerate(band)]
            for cells in zip_longest(*columns):
                row = [cell for cell in cells if cell is not None]
                for cell, number_of_line in row:
                    if cell.kind == "tokens":
                        self._where[cell.block, number_of_line] = len(self._rows)
                yield [cell for cell, _ in row]

    def _bands(self) -> list[list[int]]:
        """Return the blocks that stand next to each other."""
        bands: list[list[int]] = []
        for number, block in enumerate(self.view.blocks):
            if block.beside and self._beside and bands:
                bands[-1].append(number)
            else:
                bands.append([number])
        return bands

    def _column(self, number: int, x: int, width: int) -> Iterator[tuple[Cell, int]]:
        """Yield what stands in a column, each with the number of its line in the flow."""
        block = self.view.blocks[number]
        margin = MARGIN if width >= _WITHMARGIN else 0
        flow = self.flows[number] = Flow(
            block.strand, block.start, block.stop, width - margin, prose=self._prose, ids=self._ids, gaps=self._gaps
        )
        if block.title:
            yield Cell(x, width, number, "title", f"{block.title}, {block.stop - block.start:,} tokens"), 0
        at = 0
        while (line := flow.line(at)) is not None:
            if line.role and margin:
                yield Cell(x + margin, width - margin, number, "tokens", line.role, line), at
            else:
                if line.role:
                    yield Cell(x, width, number, "role", line.role), at
                yield Cell(x + margin, width - margin, number, "tokens", "", line), at
            if self._ids and line.bits:
                yield Cell(x + margin, width - margin, number, "ids", "", line), at
            at += 1
