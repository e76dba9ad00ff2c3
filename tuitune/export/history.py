"""The exports that were made here, as TuiTune's home remembers them. No torch."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson

from tuitune.run import places
from tuitune.run.files import PRIVATE_FILE
from tuitune.run.packing import pack, restore

FILE = "export.json"
_LIST = "exports.jsonl"


@dataclass(frozen=True)
class Done:
    """One export that was made here; subject: what was exported, as the command named it."""

    path: str
    subject: str
    title: str
    form: str
    number: str
    size: int
    made: float = field(default_factory=time.time)

    @property
    def there(self) -> bool:
        """Whether it still lies there."""
        return (Path(self.path) / FILE).is_file()


def remember(done: Done) -> None:
    """Add an export to the list; a home that cannot be written loses nothing but the line."""
    with contextlib.suppress(OSError):
        fd = os.open(places.home() / _LIST, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
        with os.fdopen(fd, "wb") as stream:
            stream.write(pack(asdict(done)) + b"\n")


def known() -> list[Done]:
    """Return the exports that still lie where they were made, the newest first."""
    try:
        lines = (places.home() / _LIST).read_bytes().splitlines()
    except OSError:
        return []
    found: dict[str, Done] = {}
    for line in reversed(lines):
        with contextlib.suppress(ValueError):
            values: Mapping[str, object] = orjson.loads(line)
            done = restore(Done, values)
            found.setdefault(done.path, done)
    return [done for done in found.values() if done.there]
