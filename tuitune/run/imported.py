"""Runs that another trainer made: read only, their weights where they were found."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import orjson

from tuitune.errors import RunError
from tuitune.run.directory import RunDir
from tuitune.run.files import write_atomic
from tuitune.run.packing import pack, record, restore

NAME = "imported.json"


@dataclass(frozen=True, slots=True)
class Imported:
    """Where a run came from; `weights` is the folder of its adapter or model, None where none was found.

    trainer: "LLaMA-Factory" or "transformers". log: size and time (ns) of the log when it was read.
    """

    source: str
    trainer: str
    when: float
    weights: str | None = None
    adapter: bool = False
    log: tuple[int, ...] = ()
    notes: list[str] = field(default_factory=list)

    def keep(self, run: RunDir) -> None:
        """Write it into a run."""
        write_atomic(run.path / NAME, pack(record(self)) + b"\n")

    @classmethod
    def of(cls, run: RunDir) -> Imported | None:
        """Return where a run came from, or None when it was trained here."""
        try:
            values = orjson.loads((run.path / NAME).read_bytes())
            return restore(cls, values) if isinstance(values, dict) else None
        except (OSError, ValueError):
            return None

    def folder(self, run: RunDir) -> Path:
        """Return the folder of its weights. Raises RunError when there is none, or no more."""
        if self.weights is None:
            raise RunError(f"{run.name} was imported without weights: {self.source} holds none")
        if not Path(self.weights).is_dir():
            raise RunError(
                f"the weights of {run.name} are not there any more: {self.weights}", "bring them back to that place"
            )
        return Path(self.weights)


def refuse_training(run: RunDir) -> None:
    """Raise RunError for a run that was imported: nothing is trained in it."""
    if (found := Imported.of(run)) is not None:
        raise RunError(
            f"{run.name} was imported from {found.trainer} and cannot be trained further in place",
            "begin a new run from its recipe: n in the Runs screen, or tuitune train with "
            f"{run.recipe} and another output_dir",
        )
