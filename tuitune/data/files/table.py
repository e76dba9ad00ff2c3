"""csv files: a header, quotes, fields over several lines; separated by comma, semicolon or tab."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tuitune.data.files.disk import begin_text, opened
from tuitune.data.files.lines import LONGEST
from tuitune.data.files.row import BrokenLine, RawRow
from tuitune.errors import DataError

_SEPARATORS = ",;\t"


def read_csv(path: Path, check: Callable[[], None]) -> Iterator[RawRow]:
    """Yield the rows below the header as objects of text; a row with other cells than the header is a BrokenLine."""
    name = str(path)
    csv.field_size_limit(min(LONGEST, sys.maxsize))
    with opened(path) as file:
        begin_text(file, path)
        # Bytes that are not UTF-8 become surrogates here and a bad row below, instead of the end of the file.
        text = io.TextIOWrapper(file, "utf-8", errors="surrogateescape", newline="")
        start = text.tell()
        separator = _separator(text)
        text.seek(start)
        reader = csv.reader(text, delimiter=separator, strict=True)
        header: list[str] | None = None
        for number, cells in _records(reader):
            if number % 1024 == 0:
                check()
            if header is None:
                header = _header(cells, name)
            elif cells:
                yield RawRow(number, _row(cells, header), name)
        text.detach()
    if header is None:
        raise DataError(f"{name} is empty", "Its first line must name the columns.")


def _records(reader: csv._reader) -> Iterator[tuple[int, list[str] | BrokenLine]]:  # type: ignore[name-defined]
    while True:
        number = reader.line_num + 1
        try:
            yield number, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            unclosed = "unexpected end of data" in str(error)
            reason = (
                "a quote that opens here is never closed, so no row after it can be read" if unclosed else str(error)
            )
            yield number, BrokenLine(f"not valid csv: {reason}")


def _separator(text: io.TextIOWrapper) -> str:
    """Return the separator that cuts the header into most columns, of equals the one that fits the next line."""
    lines = text.readline(1 << 20), text.readline(1 << 20)

    def fit(mark: str) -> tuple[int, bool]:
        header, row = (len(next(csv.reader([line], delimiter=mark), [])) for line in lines)
        return header, header == row

    return max(_SEPARATORS, key=fit)


def _header(cells: list[str] | BrokenLine, name: str) -> list[str]:
    if isinstance(cells, BrokenLine):
        raise DataError(f"{name}, line 1: {cells.reason}", "The first line must name the columns.")
    header = [cell.strip() for cell in cells]
    twice = sorted({cell for cell in header if cell and header.count(cell) > 1})
    if twice:
        raise DataError(f"{name} names the column {twice[0]!r} twice", "Every column needs a name of its own.")
    if not any(header):
        raise DataError(f"{name} names no columns", "Its first line must name the columns.")
    return header


def _row(cells: list[str] | BrokenLine, header: list[str]) -> object:
    if isinstance(cells, BrokenLine):
        return cells
    if len(cells) != len(header):
        return BrokenLine(f"the row has {_cells(len(cells))}, the header names {_cells(len(header))}")
    for cell in cells:
        if not cell.isascii() and any("\udc80" <= letter <= "\udcff" for letter in cell):
            byte = next(ord(letter) - 0xDC00 for letter in cell if "\udc80" <= letter <= "\udcff")
            return BrokenLine(f"byte 0x{byte:02x} is not UTF-8")
    # Column without a name: the row numbers that pandas writes.
    return {key: cell for key, cell in zip(header, cells, strict=True) if key}


def _cells(count: int) -> str:
    return f"{count} cell" if count == 1 else f"{count} cells"
