"""Data files of every type, as numbered rows; every failure names the file and the place in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tuitune.data.files.array import read_json
from tuitune.data.files.arrow import arrow_count, parquet_count, read_arrow, read_parquet
from tuitune.data.files.disk import begin_text, decoded, in_words, opened, read_bytes
from tuitune.data.files.lines import line_count, read_jsonl, read_txt
from tuitune.data.files.row import BrokenLine, RawRow, Rows
from tuitune.data.files.table import read_csv
from tuitune.errors import DataError

__all__ = [
    "FILE_TYPES", "BrokenLine", "FileRows", "RawRow", "Rows", "data_files", "decoded", "read_bytes", "read_file",
]  # fmt: skip

Reader = Callable[[Path, Callable[[], None]], Iterator[RawRow]]
_READERS: dict[str, Reader] = {
    ".json": read_json,
    ".jsonl": read_jsonl,
    ".csv": read_csv,
    ".parquet": read_parquet,
    ".arrow": read_arrow,
    ".txt": read_txt,
}
FILE_TYPES = tuple(_READERS)
_USE = f"Use {', '.join(FILE_TYPES[:-1])} or {FILE_TYPES[-1]}, or a folder of files of one of these types."
# What lies beside data without being data.
_BESIDE = ("dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "README.md", "LICENSE")
# Counting the lines of a larger file would take longer than the count is worth.
_COUNTED = 4 << 30
_SAMPLE = 1 << 22


def read_file(path: Path, check: Callable[[], None]) -> Iterator[RawRow]:
    """Yield the rows of one file, in pieces as they are asked for; raises DataError."""
    return _reader(path)(path, check)


def data_files(path: Path) -> tuple[Path, ...]:
    """Return `path` itself, or the data files in it, of one type and sorted by name; raises DataError."""
    if not path.is_dir():
        _reader(path)
        return (path,)
    with in_words(path):
        inside = sorted(entry for entry in path.iterdir() if entry.is_file() and not _beside(entry.name))
    types = sorted({entry.suffix.lower() for entry in inside})
    if not inside:
        raise DataError(f"{path} is a directory without data files", _USE)
    if len(types) > 1 or types[0] not in FILE_TYPES:
        odd = next((kind for kind in types if kind not in FILE_TYPES), types[0])
        names = [next(entry.name for entry in inside if entry.suffix.lower() == kind) for kind in (odd, *types)]
        raise DataError(
            f"{path} is a directory with files of several types: {', '.join(dict.fromkeys(names))}"
            if len(types) > 1
            else f"{path} is a directory of files that are not read, such as {names[0]}",
            "All files of a data set have one type; move the others away, or name one file.",
        )
    return tuple(inside)


@dataclass(frozen=True)
class FileRows:
    """The rows of one file, or of several one after another."""

    paths: Sequence[Path]
    check: Callable[[], None]

    def __iter__(self) -> Iterator[RawRow]:
        for path in self.paths:
            yield from read_file(path, self.check)

    @cached_property
    def expected(self) -> int | None:
        """See Rows; exact for parquet and arrow, the number of lines or an estimate for the others."""
        counts = [_count(path) for path in self.paths]
        return None if None in counts else sum(count for count in counts if count is not None)


def _reader(path: Path) -> Reader:
    suffix = path.suffix.lower()
    if suffix not in _READERS:
        raise DataError(f"{path}: files of type {suffix or '(no ending)'} are not read", _USE)
    return _READERS[suffix]


def _beside(name: str) -> bool:
    return name.startswith((".", "_")) or name in _BESIDE


def _count(path: Path) -> int | None:
    if path.suffix.lower() == ".parquet":
        return parquet_count(path)
    if path.suffix.lower() == ".arrow":
        return arrow_count(path)
    with opened(path) as file:
        size = path.stat().st_size
        if path.suffix.lower() == ".json":
            return _estimate(path, size)
        begin_text(file, path)
        if size > _COUNTED:
            ends = file.read(_SAMPLE).count(b"\n")
            return ends * size // _SAMPLE or None
        return max(line_count(file) - (path.suffix.lower() == ".csv"), 0)


def _estimate(path: Path, size: int) -> int | None:
    """Return about how many rows a json array has, from how much text its first ones take; None if that is unclear."""
    taken = count = 0
    for row in read_json(path, lambda: None):
        count += 1
        taken += len(repr(row.value)) + 2
        if taken > _SAMPLE:
            return max(count, count * size // taken)
    return count
