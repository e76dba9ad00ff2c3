"""The mean of all that was seen in a run, kept over a resume."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from tuitune.errors import RunError

if TYPE_CHECKING:
    from pathlib import Path


@dataclass
class RunningMean:
    """Mean of `count` numbers, each as heavy as any other; 0 for none."""

    mean: float = 0.0
    count: int = 0

    def add(self, value: float) -> None:
        """Take one more into the mean."""
        self.count += 1
        self.mean += (value - self.mean) / self.count

    def save(self, file: Path) -> None:
        """Write it, exact to the last bit."""
        file.write_bytes(orjson.dumps({"mean": self.mean, "count": self.count}))

    def load(self, file: Path) -> None:
        """Go on from what `save` wrote; raises RunError where that cannot be read."""
        try:
            found = orjson.loads(file.read_bytes())
            self.mean, self.count = float(found["mean"]), int(found["count"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise RunError(f"{file} cannot be read: {error}", "resume from an earlier checkpoint") from error
