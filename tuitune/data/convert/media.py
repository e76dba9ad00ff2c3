"""Images, videos and audio that rows name: as many files as placeholders, and every file there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tuitune.data.conversation import Message, UnusableRow, describe
from tuitune.data.convert.row import Raw, structure
from tuitune.text import clean_line

KINDS = ("image", "video", "audio")


@dataclass(frozen=True)
class Media:
    """Where the files of rows are looked for, in this order."""

    folders: tuple[Path, ...] = ()
    known: dict[str, str] = field(default_factory=dict)

    def files(
        self,
        row: Raw,
        columns: Mapping[str, str],
        messages: Sequence[Message],
        named: Mapping[str, Sequence[object]],
    ) -> dict[str, tuple[str, ...]]:
        """Return the paths of a row's images, videos and audios; raises UnusableRow."""
        found = {}
        for kind in KINDS:
            column = columns.get(f"{kind}s")
            if column is None and kind not in named:
                continue
            values = [*_listed(row.get(column) if column else None, str(column)), *named.get(kind, ())]
            if named.get(kind) and len(values) > len(named[kind]):
                raise UnusableRow(f"both column {column!r} and the messages name {kind} files")
            _match(kind, messages, len(values))
            found[f"{kind}s"] = tuple(self._path(value, kind, n) for n, value in enumerate(values, 1))
        return found

    def _path(self, value: object, kind: str, number: int) -> str:
        if isinstance(value, Mapping):
            value = value if value.get("bytes") else value.get("path")
        if not isinstance(value, str) or not value:
            inside = isinstance(value, (bytes, Mapping))
            said = "stored in the row itself; only files are read" if inside else f"{describe(value)}, not a file name"
            raise UnusableRow(f"{kind} {number} is {said}")
        if value.startswith(("http:", "https:", "data:")):
            raise UnusableRow(f"{kind} {number} is an address ({clean_line(value)[:60]}); only files are read")
        path = self.known.get(value)
        if path is None:
            path = self._found(value, kind, number)
            self.known[value] = path
        return path

    def _found(self, value: str, kind: str, number: int) -> str:
        for folder in (*self.folders, Path()):
            try:
                if (folder / value).is_file():
                    return str(folder / value)
            except (OSError, ValueError):  # a name that no file can have
                break
        places = " or ".join(map(str, dict.fromkeys(self.folders))) or "the current directory"
        raise UnusableRow(f"{kind} {number}, {clean_line(value)[:120]!r}, is not in {places}")


def _listed(value: object, column: str) -> Sequence[object]:
    value = structure(value)
    if value is None or value == "":
        return ()
    if isinstance(value, list):
        return value
    if isinstance(value, (str, Mapping)):
        return (value,)
    raise UnusableRow(f"column {column!r} is {describe(value)}, not a list of files")


def _match(kind: str, messages: Sequence[Message], files: int) -> None:
    places = sum(message.content.count(f"<{kind}>") for message in messages)
    if places != files:
        raise UnusableRow(f"the messages have {places} <{kind}>, and the row names {files} {kind} files")
