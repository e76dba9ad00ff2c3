"""How far an evaluation is, for those who did not begin it: `progress.json` in its folder while it is at work."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path

import orjson

from tuitune.run.files import write_atomic
from tuitune.run.packing import pack, record, restore

_FILE = "progress.json"


@dataclass(frozen=True)
class Reached:
    """A stage, how much of it is done, of how much (None: nobody knows).

    within: how far what is not done yet is. seconds: how long the evaluation has worked, in all its attempts.
    """

    stage: str
    done: int = 0
    total: int | None = None
    within: str = ""
    seconds: float = 0.0


def tell(folder: Path, reached: Reached) -> None:
    """Write it, for others who look there; a disk that does not take it is no reason to stop the work."""
    with contextlib.suppress(OSError):
        write_atomic(folder / _FILE, pack(record(reached)) + b"\n")


def reached_in(folder: Path) -> Reached | None:
    """Return what was told last, None where nothing is at work."""
    try:
        return restore(Reached, orjson.loads((folder / _FILE).read_bytes()))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def ended(folder: Path) -> None:
    """Take away what was told: the work is at its end."""
    with contextlib.suppress(OSError):
        (folder / _FILE).unlink(missing_ok=True)
