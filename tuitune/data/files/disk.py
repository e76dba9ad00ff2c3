"""Bytes from disk, with a sentence for everything that may be wrong with them."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from tuitune.errors import DataError

CHUNK = 1 << 20
# UTF-32's mark begins with UTF-16's, so it is looked for first.
_FOREIGN_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}
# What other files begin with that are given a data file's ending, or one that is not read at all.
_PACKED = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"BZh": "bzip2",
    b"\xfd7zXZ": "xz",
    b"PAR1": "parquet",
    b"ARROW1": "arrow",
    b"SQLite format 3": "SQLite",
    b"%PDF": "PDF",
}
UTF8 = "Save the file as UTF-8."


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file; raises DataError with what the system says, then and while it is read."""
    with in_words(path):
        if path.is_dir():
            raise DataError(f"{path} is a directory, not a file", "Name the file itself.")
        if path.exists() and not path.is_file():
            # A pipe or a device may never end.
            raise DataError(f"{path} is not a regular file", "Name a file on disk.")
        with path.open("rb") as file:
            yield file


@contextmanager
def in_words(path: Path) -> Iterator[None]:
    """Turn the system's failures about `path` into DataError."""
    try:
        yield
    except FileNotFoundError:
        raise DataError(
            f"{path} does not exist", "Check the path; in a recipe and its catalog, `dataset_dir` and `file_name`."
        ) from None
    except PermissionError:
        raise DataError(f"{path} may not be read: permission denied", "Change its permissions.") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a NUL in the path
        raise DataError(f"{path} cannot be read: {error}") from None


def read_bytes(path: Path, check: Callable[[], None]) -> bytes:
    """Return the bytes of `path`, polling `check` between pieces; raises DataError."""
    pieces = []
    with opened(path) as file:
        while piece := file.read(CHUNK):
            pieces.append(piece)
            check()
    return b"".join(pieces)


def begin_text(file: BinaryIO, path: Path) -> None:
    """Move past a UTF-8 mark; raises DataError for what is not UTF-8 text, as far as its beginning tells."""
    head = file.read(4096)
    not_text(head, str(path))
    file.seek(len(codecs.BOM_UTF8) if head.startswith(codecs.BOM_UTF8) else 0)


def not_text(head: bytes, file: str) -> None:
    """Raise DataError if the beginning of a file shows that it is another kind of file, or another encoding."""
    for mark, name in _FOREIGN_MARKS.items():
        if head.startswith(mark):
            raise DataError(f"{file} is {name}, not UTF-8", UTF8)
    for mark, name in _PACKED.items():
        if head.startswith(mark):
            raise DataError(f"{file} is a {name} file, whatever its name says", "Unpack it, or give it its own ending.")
    first = head.split(b"\n", 1)[0]
    if 0 in first:
        raise DataError(f"{file}, line 1: a NUL byte; this is not UTF-8 text", UTF8)


def decoded(content: bytes, file: str) -> bytes:
    """Return a whole file's `content` without a UTF-8 mark, once it is known to be UTF-8 text; raises DataError."""
    not_text(content[:4096], file)
    content = content.removeprefix(codecs.BOM_UTF8)
    nul = content.find(0)
    if nul >= 0:
        line = content.count(b"\n", 0, nul) + 1
        raise DataError(f"{file}, line {line}: a NUL byte; this is not UTF-8 text", UTF8)
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(f"{file}, line {line}: byte 0x{content[error.start]:02x} is not UTF-8", UTF8) from None
    return content
