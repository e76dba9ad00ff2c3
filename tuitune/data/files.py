"""Read json and jsonl files into numbered rows; every failure names the file and the place in it."""

from __future__ import annotations

import codecs
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from tuitune.data.conversation import describe
from tuitune.errors import DataError

FILE_TYPES = (".json", ".jsonl")
LATER_TYPES = (".csv", ".parquet", ".arrow", ".txt")
CHUNK = 16 << 20
# UTF-32's mark begins with UTF-16's, so it is looked for first.
_FOREIGN_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


@dataclass(frozen=True, slots=True)
class BrokenLine:
    """A jsonl line that is not JSON, kept in the place of its row."""

    reason: str


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row as parsed; `number` is the line (jsonl) or the position in the array (json), from 1."""

    number: int
    value: object


def read_rows(path: Path, check: Callable[[], None]) -> Iterator[RawRow]:
    """Yield the rows of a json array or a jsonl file; jsonl is parsed as it is asked for. Raises DataError."""
    suffix = path.suffix.lower()
    if suffix not in FILE_TYPES and not os.path.isdir(path):
        raise DataError(
            f"{path}: files of type {suffix or '(no ending)'} are not supported yet",
            "Use .json (one array of rows) or .jsonl (one row per line).",
        )
    content = decoded(read_bytes(path, check), str(path))
    return iter(parse_array(content, str(path))) if suffix == ".json" else parse_lines(content, check)


def read_bytes(path: Path, check: Callable[[], None]) -> bytes:
    """Return the bytes of `path`, polling `check` between chunks; raises DataError with what the system says."""
    try:
        if path.is_dir():
            raise DataError(f"{path} is a directory, not a file", "Name the .json or .jsonl file itself.")
        if path.exists() and not path.is_file():
            # A pipe or a device may never end.
            raise DataError(f"{path} is not a regular file", "Name a .json or .jsonl file on disk.")
        pieces = []
        with path.open("rb") as file:
            while piece := file.read(CHUNK):
                pieces.append(piece)
                check()
        return b"".join(pieces)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist", "Check `file_name` and `dataset_dir`.") from None
    except PermissionError:
        raise DataError(f"{path} may not be read: permission denied", "Change its permissions.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DataError(f"{path} cannot be read: {reason}") from None


def decoded(content: bytes, file: str) -> bytes:
    """Return `content` without a UTF-8 mark, once it is known to be UTF-8 text; raises DataError."""
    hint = "Save the file as UTF-8."
    for mark, name in _FOREIGN_MARKS.items():
        if content.startswith(mark):
            raise DataError(f"{file} is {name}, not UTF-8", hint)
    content = content.removeprefix(codecs.BOM_UTF8)
    nul = content.find(0)
    if nul >= 0:
        line = content.count(b"\n", 0, nul) + 1
        raise DataError(f"{file}, line {line}: a NUL byte; this is not UTF-8 text", hint)
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{file}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8", hint) from None
    return content


def parse_array(content: bytes, file: str) -> list[RawRow]:
    """Parse one JSON array of rows; raises DataError with line and column."""
    if not content.strip():
        raise DataError(f"{file} is empty", "Write a JSON array of rows into it.")
    try:
        value = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        several = content.lstrip().startswith(b"{") and error.lineno > 1
        hint = "One row per line is jsonl: rename the file to .jsonl." if several else "Mend the JSON at that place."
        raise DataError(f"{file}, {place}: not valid JSON ({error.msg})", hint) from None
    if not isinstance(value, list):
        raise DataError(
            f"{file} holds {describe(value)}, not an array of rows",
            "A .json data file begins with [ and ends with ]; one row per line is .jsonl.",
        )
    return [RawRow(number, row) for number, row in enumerate(value, 1)]


def parse_lines(content: bytes, check: Callable[[], None]) -> Iterator[RawRow]:
    """Yield one row per line that is not blank; a line that is not JSON comes as BrokenLine."""
    for number, line in enumerate(content.split(b"\n"), 1):
        if number % 4096 == 0:
            check()
        if not line.strip():
            continue
        try:
            yield RawRow(number, orjson.loads(line))
        except orjson.JSONDecodeError as error:
            yield RawRow(number, BrokenLine(f"not valid JSON at column {error.colno} ({error.msg})"))
