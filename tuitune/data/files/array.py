"""A .json file: one array of rows, parsed row by row from a window of text."""

from __future__ import annotations

import codecs
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from tuitune.data.conversation import describe
from tuitune.data.files.disk import CHUNK, UTF8, begin_text, opened
from tuitune.data.files.lines import parsed, read_jsonl
from tuitune.data.files.row import BrokenLine, RawRow
from tuitune.errors import DataError

_BLANK = " \t\r\n"
# An error this far from the window's end is no matter of what comes after it.
_LOOKAHEAD = 64


def read_json(path: Path, check: Callable[[], None]) -> Iterator[RawRow]:
    """Yield the rows of an array, numbered from 1, or those of a file that has one JSON object per line."""
    if _one_per_line(path):
        return read_jsonl(path, check)
    return _read_array(path, check)


def _one_per_line(path: Path) -> bool:
    """Return whether a .json file is jsonl: its first line is a whole object and another begins after it."""
    with opened(path) as file:
        begin_text(file, path)
        first = next((line for line in iter(lambda: file.readline(16 << 20), b"") if line.strip()), b"")
        if not first.lstrip().startswith(b"{") or isinstance(parsed(first), BrokenLine):
            return False
        return file.read(CHUNK).lstrip().startswith(b"{")


def _read_array(path: Path, check: Callable[[], None]) -> Iterator[RawRow]:
    name = str(path)
    with opened(path) as file:
        begin_text(file, path)
        window = _Window(file, name, check)
        start = window.next()
        if not start:
            raise DataError(f"{name} is empty", "Write a JSON array of rows into it.")
        if start != "[":
            raise _not_an_array(window, name)
        window.skip()
        number = 0
        while window.next() != "]" or number:
            number += 1
            yield RawRow(number, window.value(), name)
            end = window.next()
            if end == "]":
                break
            if end != ",":
                raise window.broken("the array goes on without a comma, or does not end")
            window.skip()
        window.skip()
        if window.next():
            raise window.broken("something follows the array")


def _not_an_array(window: _Window, name: str) -> DataError:
    found = describe(window.value())
    if window.next():
        return window.broken("something follows the first value")
    return DataError(
        f"{name} holds {found}, not an array of rows",
        "A .json data file begins with [ and ends with ]; one row per line is .jsonl.",
    )


class _Window:
    """The part of a file that is being parsed, as text."""

    def __init__(self, file: BinaryIO, name: str, check: Callable[[], None]) -> None:
        self._file, self._name, self._check = file, name, check
        self._decode = codecs.getincrementaldecoder("utf-8")()
        self._json = json.JSONDecoder(parse_constant=_refuse)
        self._text, self._place = "", 0
        self._lines, self._column = 0, 0  # before the window: line ends, and characters since the last
        self._ended = False

    def next(self) -> str:
        """Move to the next character that is not blank and return it; nothing at the end."""
        while True:
            while self._place < len(self._text):
                if self._text[self._place] not in _BLANK:
                    return self._text[self._place]
                self._place += 1
            if not self._more():
                return ""

    def skip(self) -> None:
        """Move past the character that `next` gave."""
        self._place += 1

    def value(self) -> object:
        """Parse the value that begins here; raises DataError with line and column."""
        self.next()
        while True:
            try:
                value, end = self._json.raw_decode(self._text, self._place)
            except json.JSONDecodeError as error:
                final = error.pos < len(self._text) - _LOOKAHEAD and not error.msg.startswith("Unterminated")
                since = error.pos - self._place
                if final or not self._more():
                    raise self.broken(error.msg, self._place + since) from None
                continue
            except RecursionError:
                raise self.broken("nested too deeply") from None
            except ValueError as error:  # NaN, Infinity, a number of thousands of digits
                raise self.broken(str(error)) from None
            length = end - self._place
            if end < len(self._text) or not self._more():  # a number may go on
                self._place += length
                return value

    def broken(self, reason: str, place: int | None = None) -> DataError:
        """Return the error for a place in the window, here unless given."""
        place = self._place if place is None else place
        line = self._lines + self._text.count("\n", 0, place) + 1
        last = self._text.rfind("\n", 0, place)
        column = place - last if last >= 0 else self._column + place + 1
        return DataError(
            f"{self._name}, line {line}, column {column}: not valid JSON ({reason})", "Mend the JSON at that place."
        )

    def _more(self) -> bool:
        """Read on, by more the longer the value at hand is; False at the end of the file."""
        if self._ended:
            return False
        self._check()
        self._forget()
        piece = self._file.read(max(CHUNK, len(self._text)))
        self._ended = not piece
        if 0 in piece:
            raise self._odd(piece, piece.find(0), "a NUL byte; this is not UTF-8 text")
        try:
            self._text += self._decode.decode(piece, final=self._ended)
        except UnicodeDecodeError as error:
            at = error.object[error.start]
            raise self._odd(error.object, error.start, f"byte 0x{at:02x} is not UTF-8") from None
        return not self._ended

    def _forget(self) -> None:
        done = self._text[: self._place]
        ends = done.count("\n")
        self._column = len(done) - done.rfind("\n") - 1 if ends else self._column + len(done)
        self._lines += ends
        self._text, self._place = self._text[self._place :], 0

    def _odd(self, piece: bytes, place: int, what: str) -> DataError:
        line = self._lines + self._text.count("\n") + piece.count(b"\n", 0, place) + 1
        return DataError(f"{self._name}, line {line}: {what}", UTF8)


def _refuse(name: str) -> object:
    raise ValueError(f"{name} is no JSON")
