"""What a tracker is asked to do; one module per tracker does it with that tracker's own library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from tuitune.recipe import Recipe
from tuitune.run.files import private_dir

Outcome = Literal["finished", "stopped", "failed", "crashed"]
PROJECT = "tuitune"


@dataclass(frozen=True)
class Opening:
    """What a tracker needs to begin, or to go on with, a run.

    id: the tracker's own name for the run, where an earlier attempt has begun it. step: done before this attempt. cwd:
    where the run was asked for, from which relative paths count. pid: of the process that trains.
    """

    name: str
    folder: Path
    recipe: Recipe
    title: str
    config: Mapping[str, Any]
    id: str | None = None
    step: int = 0
    cwd: Path = field(default_factory=Path)
    pid: int = 0

    def own_folder(self) -> Path:
        """Return a private folder in the run for the tracker's files, made if missing."""
        return private_dir(private_dir(self.folder / "trackers") / self.name)

    def place(self, asked: str | None) -> Path:
        """Return the folder that a recipe asks for, or the tracker's own."""
        return self.cwd / Path(asked).expanduser() if asked else self.own_folder()


class Tracker(Protocol):
    """A run at a tracker. Every method may block, and may raise anything."""

    # Its own name for the run, by which a later attempt goes on with it.
    id: str
    # Where to look at it, in words: an address, a folder, a command.
    where: str
    # Whether steps that an attempt makes again replace what was sent of them; otherwise they are not sent again.
    replaces: bool

    def log(self, step: int, figures: Mapping[str, float], t: float) -> None:
        """Send the figures of a step, logged at the unix time `t`; some may not be finite."""
        ...

    def close(self, outcome: Outcome, message: str) -> None:
        """Send what is left and say how the attempt ended."""
        ...
