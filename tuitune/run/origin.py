"""Where a run was asked for, so that the relative paths of its recipe mean the same when it is resumed elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import orjson

from tuitune.run.directory import RunDir
from tuitune.run.files import write_atomic
from tuitune.run.packing import pack, record, restore

NAME = "origin.json"


@dataclass(frozen=True, slots=True)
class Origin:
    """The current directory when the run was made, and the folder of the file that its recipe came from."""

    cwd: str
    folder: str | None = None

    @classmethod
    def here(cls, recipe: Path | None) -> Origin:
        """Return the origin of a run that this process makes from the file `recipe`."""
        return cls(str(Path.cwd()), str(recipe.expanduser().absolute().parent) if recipe is not None else None)

    def keep(self, run: RunDir) -> None:
        """Write it into a run that has none; the first one stays."""
        if not (run.path / NAME).exists():
            write_atomic(run.path / NAME, pack(record(self)) + b"\n")

    @classmethod
    def of(cls, run: RunDir) -> Origin | None:
        """Return a run's origin, or None when it is missing or says nothing sensible."""
        try:
            values = orjson.loads((run.path / NAME).read_bytes())
            return restore(cls, values) if isinstance(values, dict) else None
        except (OSError, ValueError):
            return None

    @property
    def folders(self) -> tuple[Path, ...]:
        """Where a relative path is looked for, in this order."""
        return tuple(Path(folder) for folder in (self.cwd, self.folder) if folder)
