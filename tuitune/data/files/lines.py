"""Files with one row per line: jsonl and txt. No more than a line is held at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import orjson

from tuitune.data.files.disk import UTF8, begin_text, opened
from tuitune.data.files.row import BrokenLine, RawRow
from tuitune.errors import DataError

# A file without line ends must not fill the memory.
LONGEST = 256 << 20
TEXT = "text"


def read_jsonl(path: Path, check: Callable[[], None]) -> Iterator[RawRow]:
    """Yield one row per line that is not blank; a line that is not JSON comes as BrokenLine."""
    name = str(path)
    first = True
    for number, line in lines(path, check):
        if first and line.lstrip().startswith(b"[") and not _row(line, number, name):
            raise DataError(
                f"{name} begins with [: that is one JSON array, not a row per line", "Rename the file to .json."
            )
        first = False
        yield RawRow(number, parsed(line), name)


def read_txt(path: Path, check: Callable[[], None]) -> Iterator[RawRow]:
    """Yield one row per line that is not blank, with the column `text`."""
    name = str(path)
    for number, line in lines(path, check):
        try:
            value: object = {TEXT: line.rstrip(b"\r\n").decode("utf-8")}
        except UnicodeDecodeError as error:
            value = BrokenLine(not_utf8(line, error))
        yield RawRow(number, value, name)


def lines(path: Path, check: Callable[[], None]) -> Iterator[tuple[int, bytes]]:
    """Yield number and bytes of every line that is not blank; raises DataError."""
    with opened(path) as file:
        begin_text(file, path)
        number = 0
        while line := file.readline(LONGEST):
            number += 1
            if number % 1024 == 0 or len(line) > 1 << 20:
                check()
            if len(line) == LONGEST and not line.endswith(b"\n"):
                raise DataError(
                    f"{path}, line {number}: longer than {LONGEST >> 20} MB", "Write every row on a line of its own."
                )
            if line.strip():
                yield number, line


def parsed(line: bytes) -> object:
    """Return what a line of JSON says, or a BrokenLine."""
    try:
        return orjson.loads(line.rstrip())
    except orjson.JSONDecodeError as error:
        try:
            line.decode("utf-8")
        except UnicodeDecodeError as wrong:
            return BrokenLine(not_utf8(line, wrong))
        reason = "a NUL byte" if b"\0" in line else error.msg
        return BrokenLine(f"not valid JSON at column {error.colno} ({reason})")


def not_utf8(line: bytes, error: UnicodeDecodeError) -> str:
    """Return the reason in words."""
    return f"byte 0x{line[error.start]:02x} at column {error.start + 1} is not UTF-8. {UTF8}"


def line_count(file: BinaryIO) -> int:
    """Return how many lines the rest of `file` has."""
    count, last = 0, b"\n"
    while piece := file.read(1 << 22):
        count += piece.count(b"\n")
        last = piece[-1:]
    return count + (last != b"\n")


def _row(line: bytes, number: int, name: str) -> bool:
    """Return whether a line that begins with [ may be meant as one (bad) row among others."""
    value = parsed(line)
    return isinstance(value, list) and not any(isinstance(item, dict) for item in value)
