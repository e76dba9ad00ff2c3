"""Break rows at blanks, measured in cells."""

from __future__ import annotations

import re

from rich.cells import chop_cells

from tuitune.tui.kit.rows import Row, cells, merged

# Wide scripts are written without blanks: each of their characters may end a row.
_WIDE = "\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff01-\uff60"
_PIECES = re.compile(rf"\n|[^\S\n]+|[{_WIDE}]|[^\s{_WIDE}]+")


def wrapped(row: Row, width: int) -> list[Row]:
    """Return the row as rows of at most `width` cells; line breaks break, and a word longer than a row is cut."""
    wrapping = _Wrapping(max(2, width))
    for text, role in row:
        for match in _PIECES.finditer(text):
            wrapping.add(match.group(), role)
    return wrapping.end()


class _Wrapping:
    def __init__(self, width: int) -> None:
        self._width = width
        self._rows: list[Row] = []
        self._row: Row = []
        self._used = 0
        self._blank: Row = []
        self._word: Row = []

    def add(self, piece: str, role: str) -> None:
        if piece == "\n":
            self._place()
            self._break()
        elif piece.isspace():
            self._place()
            self._blank.append((piece, role))
        elif re.match(f"[{_WIDE}]", piece):
            self._place()
            self._word.append((piece, role))
            self._place()
        else:
            self._word.append((piece, role))

    def end(self) -> list[Row]:
        self._place()
        self._break()
        return [merged(row) for row in self._rows]

    def _place(self) -> None:
        """Put the word that is complete into the row, or into the next one."""
        if not self._word:
            return
        gap = sum(cells(text) for text, _ in self._blank)
        size = sum(cells(text) for text, _ in self._word)
        if self._row and self._used + gap + size > self._width:
            self._break()
            gap = 0
        elif self._row or not self._rows:
            self._put(self._blank)
        self._blank = []
        for text, role in self._word:
            self._cut(text, role)
        self._word = []

    def _cut(self, text: str, role: str) -> None:
        if self._used + cells(text) <= self._width:
            self._put([(text, role)])
            return
        for part in chop_cells(text, self._width):
            if self._used + cells(part) > self._width:
                self._break()
            self._put([(part, role)])

    def _put(self, row: Row) -> None:
        self._row += row
        self._used += sum(cells(text) for text, _ in row)

    def _break(self) -> None:
        self._rows.append(self._row)
        self._row, self._used, self._blank = [], 0, []
