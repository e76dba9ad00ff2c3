"""Metrics of the user's own: the functions named metric_... of a Python file.

Each is called once a row with keywords: `prompt`, `prediction`, `reference`, and one for each column of the data's
file. It returns a number, True or False, or None where it has nothing to say. A function may carry `better = "less"`
as an attribute.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tuitune.errors import TrainingError, UsageError
from tuitune.run.evaluation import Better
from tuitune.stages.ownfile import OwnFile, first_line, line_in, wanted
from tuitune.text import clean_line

BEGIN = "metric_"
_OWN = ("prompt", "prediction", "reference")
_CONVENTION = "def metric_words(prediction, **row): return len(prediction.split())"
FILE = OwnFile("the metric file", BEGIN, _CONVENTION, "name a Python file")


class OwnMetric:
    """One function of the user's file; `name` is its name without the beginning."""

    def __init__(self, function: Callable[..., Any], file: Path) -> None:
        self.name = str(function.__name__).removeprefix(BEGIN)
        self.better: Better = "less" if getattr(function, "better", "more") == "less" else "more"
        self._function, self._file, self._line = function, file, first_line(function)
        self._kinds: set[bool] = set()  # whether what it returned was True or False
        self._wanted = wanted(function, self._where())

    def __call__(self, row: str, said: str, prompt: str, reference: str, columns: Mapping[str, Any]) -> float:
        """Return what the function says of an answer, NaN for nothing; TrainingError names file, line and row."""
        given = {**columns, "prompt": prompt, "prediction": said, "reference": reference}
        names, needed = self._wanted
        if missing := [name for name in needed if name not in given]:
            raise UsageError(
                f"{self._where()} asks for {', '.join(missing)}, which row {row} does not have",
                f"it has: {', '.join([*_OWN, *columns])}; give the argument a default, or name a column",
            )
        try:
            found = self._function(
                **(given if names is None else {name: given[name] for name in names if name in given})
            )
        except (Exception, SystemExit) as error:
            line = line_in(error, self._file) or self._line
            raise TrainingError(
                f"{BEGIN}{self.name} in {self._file}, line {line}, at row {row}: {type(error).__name__}: "
                f"{clean_line(str(error))}",
                "mend the function and ask again; answers that are kept already come back with --resume",
            ) from error
        return self._number(found, row)

    def _number(self, found: Any, row: str) -> float:
        value = found.item() if callable(getattr(found, "item", None)) else found
        if value is None:
            return math.nan
        if not isinstance(value, bool | int | float):
            raise TrainingError(
                f"{self._where()} returned {type(found).__name__} for row {row}", "it must return a number or None"
            )
        if not math.isfinite(value):
            raise TrainingError(f"{self._where()} returned {value} for row {row}", "return None where there is nothing")
        self._kinds.add(isinstance(value, bool))
        return float(value)

    @property
    def is_share(self) -> bool:
        """Whether it only ever says True or False: then its mean is a share of rows."""
        return self._kinds == {True}

    def _where(self) -> str:
        return f"{BEGIN}{self.name} ({self._file}, line {self._line})"


def load(files: Sequence[Path], note: Callable[[str], None]) -> list[OwnMetric]:
    """Run the files and return their metrics. Raises UsageError with what is wrong, and in which line."""
    found: list[OwnMetric] = []
    for file in files:
        path = file.expanduser().absolute()
        own = [OwnMetric(function, path) for function in FILE.functions(path)]
        for metric in own:
            if metric.name in [each.name for each in found]:
                raise UsageError(f"{path}: there are two metrics named {BEGIN}{metric.name}", "rename one of them")
            found.append(metric)
        note(f"{path} runs with your permissions: {', '.join(BEGIN + each.name for each in own)}")
    return found
