"""Rewards of the user's own: the functions named reward_... of a Python file that the recipe names.

They are called as trl calls reward functions, with keywords: `prompts`, `completions` (and `answers`, the same list),
`completion_ids`, and one list for each column of the data; they return a number or None for each answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.errors import TrainingError
from tuitune.stages.ownfile import OwnFile, first_line, line_in, wanted
from tuitune.text import clean_line

if TYPE_CHECKING:
    from tuitune.stages.online.answer import Answer

_OWN = ("prompts", "completions", "answers", "completion_ids")
_CONVENTION = "def reward_short(prompts, answers, **columns): return [-float(len(answer)) for answer in answers]"
_FILE = OwnFile("reward_file", "reward_", _CONVENTION, "name a Python file, or remove reward_file")


class OwnReward:
    """One function of the user's file."""

    def __init__(self, function: Callable[..., Any], file: Path) -> None:
        self.name: str = function.__name__
        self._function, self._file = function, file
        self._line = first_line(function)
        self._wanted = wanted(function, self._where())

    def __call__(self, answers: Sequence[Answer]) -> list[float]:
        """Return what the function says of the answers; TrainingError with the file's line when it does not work."""
        arguments = self._arguments(answers)
        try:
            found = self._function(**arguments)
        except (Exception, SystemExit) as error:
            line = line_in(error, self._file) or self._line
            raise TrainingError(
                f"{self.name} in {self._file}, line {line}: {type(error).__name__}: {clean_line(str(error))}",
                "mend the function, then resume the run",
            ) from error
        return self._numbers(found, len(answers))

    def _arguments(self, answers: Sequence[Answer]) -> dict[str, list[Any]]:
        texts = [answer.text for answer in answers]
        columns = dict.fromkeys(name for answer in answers for name in answer.columns)
        given: dict[str, list[Any]] = {name: [answer.columns.get(name) for answer in answers] for name in columns}
        given |= {
            "prompts": [answer.prompt for answer in answers], "completions": texts, "answers": list(texts),
            "completion_ids": [list(answer.ids) for answer in answers],
        }  # fmt: skip
        names, needed = self._wanted
        if missing := [name for name in needed if name not in given]:
            raise TrainingError(
                f"{self._where()} asks for {', '.join(missing)}, which the data does not have",
                f"it has: {', '.join([*_OWN, *columns])}; give the argument a default, or name a column",
            )
        return given if names is None else {name: given[name] for name in names if name in given}

    def _numbers(self, found: Any, count: int) -> list[float]:
        values = found.tolist() if hasattr(found, "tolist") else found
        if not isinstance(values, list | tuple):
            raise self._wrong(f"returned {type(found).__name__}, not a list of numbers")
        if len(values) != count:
            raise self._wrong(f"returned {len(values)} rewards for {count} answers")
        for value in values:
            if value is not None and not isinstance(value, int | float):
                raise self._wrong(f"returned {type(value).__name__} among its rewards, not a number")
            if value is not None and not math.isfinite(value):
                raise self._wrong(f"returned {value} among its rewards")
        return [math.nan if value is None else float(value) for value in values]

    def _wrong(self, what: str) -> TrainingError:
        return TrainingError(f"{self._where()} {what}", "it must return a list with a number or None for each answer")

    def _where(self) -> str:
        return f"{self.name} ({self._file}, line {self._line})"


def load(path: Path) -> list[OwnReward]:
    """Run the file and return its rewards in their order; UsageError says what is wrong with it, and in which line."""
    return [OwnReward(function, path) for function in _FILE.functions(path)]


def names_in(path: Path) -> list[str]:
    """Return the names of the file's rewards without running it; UsageError says what is wrong with it."""
    return _FILE.names(path)


def digest(path: Path) -> str:
    """Return the SHA-256 of the file, in hexadecimal."""
    return _FILE.digest(path)
