"""What every kind of file is read into: numbered rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class BrokenLine:
    """A line that is no row, kept in the place of one."""

    reason: str


@dataclass(frozen=True, slots=True)
class RawRow:
    """One row as parsed; `number`, from 1, is the line where it begins (jsonl, txt, csv) or its place in `file`."""

    number: int
    value: object
    file: str = ""


class Rows(Protocol):
    """Rows that can be gone through again and again; each time the files are opened anew and read in pieces."""

    @property
    def expected(self) -> int | None:
        """About how many there are, for progress; None: unknown."""

    def __iter__(self) -> Iterator[RawRow]: ...
