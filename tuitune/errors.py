"""Everything that may go wrong, as one small tree; only `tuitune.cli` prints it.

TuiTuneError            1   something failed
  UsageError            2   the command line asks for something that cannot be
    RecipeError         2   the recipe does, with every problem at once
  DataError             1   the data cannot be read or trained on
  ModelError            1   the model cannot be found, fetched or loaded
  RunError              1   a run directory, a checkpoint or a live run
  TrainingError         1   the training itself
  Stopped               3   the user asked for the end
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from tuitune.recipe.problems import Problem


class TuiTuneError(Exception):
    """A failure with words for the user: what happened, and what to do about it."""

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(TuiTuneError):
    """The command cannot mean what it says."""

    exit_code = 2


class RecipeError(UsageError):
    """A recipe with problems; `problems` holds all of them, errors and warnings."""

    def __init__(self, problems: Sequence[Problem], source: str = "the recipe") -> None:
        errors = [p for p in problems if p.level == "error"]
        count = "1 problem" if len(errors) == 1 else f"{len(errors)} problems"
        super().__init__(f"{source} has {count}")
        self.problems = tuple(problems)


class DataError(TuiTuneError):
    """Rows that cannot be read, or nothing left to train on."""


class ModelError(TuiTuneError):
    """A model, tokenizer or adapter that cannot be had."""


class RunError(TuiTuneError):
    """A run directory, a checkpoint, or a run that does not answer."""


class TrainingError(TuiTuneError):
    """The training cannot go on."""


class Stopped(TuiTuneError):
    """The user asked for the end; nothing is wrong."""

    exit_code = 3
