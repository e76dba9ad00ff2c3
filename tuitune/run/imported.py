"""Runs that another trainer made: read only, their weights where they were found."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from tuitune.errors import RunError
from tuitune.run import index
from tuitune.run.directory import CHECKPOINT, RunDir
from tuitune.run.files import write_atomic
from tuitune.run.packing import pack, record, restore

NAME = "imported.json"
WEIGHTS = ("adapter_model.safetensors", "model.safetensors", "model.safetensors.index.json")


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

    @property
    def checkpoints(self) -> list[Path]:
        """The checkpoints that are still where it was trained, by step; `has_weights` tells which can be used."""
        return RunDir(Path(self.source)).checkpoints

    @property
    def final(self) -> Path | None:
        """The folder of its result, None where only checkpoints hold weights."""
        return Path(self.source) if self.weights == self.source and Path(self.source).is_dir() else None


def has_weights(folder: Path) -> bool:
    """Tell whether weights of another trainer in a folder can be used: those in safetensors."""
    return any((folder / name).is_file() for name in WEIGHTS)


def inside(run: RunDir, name: str) -> Path | None:
    """Return the folder of `final` or `checkpoint-N` of a run, wherever an imported one has it; None without one."""
    found = Imported.of(run)
    if found is None:
        folder = run.path / name
        return folder if folder.is_dir() else None
    if name == run.final.name:
        return found.final
    return next((path for path in found.checkpoints if path.name == name), None)


def holder(folder: Path) -> RunDir | None:
    """Return the run that was made of what another trainer left in a folder: its result, or one of its checkpoints."""
    place = os.path.realpath(folder)
    outside = os.path.dirname(place) if CHECKPOINT.fullmatch(os.path.basename(place)) else place
    for run in index.all_runs():
        found = Imported.of(run)
        if found is not None and os.path.realpath(found.source) in (place, outside):
            return run
    return None


def refuse_training(run: RunDir) -> None:
    """Raise RunError for a run that was imported: nothing is trained in it."""
    if (found := Imported.of(run)) is not None:
        raise RunError(
            f"{run.name} was imported from {found.trainer} and cannot be trained further in place",
            "begin a new run from its recipe: n in the Runs screen, or tuitune train with "
            f"{run.recipe} and another output_dir",
        )
