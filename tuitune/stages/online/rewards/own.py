"""Rewards of the user's own: the functions named reward_... of a Python file that the recipe names.

They are called as trl calls reward functions, with keywords: `prompts`, `completions` (and `answers`, the same list),
`completion_ids`, and one list for each column of the data; they return a number or None for each answer.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import linecache
import math
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.errors import TrainingError, UsageError
from tuitune.text import clean_line

if TYPE_CHECKING:
    from tuitune.stages.online.answer import Answer

_BEGIN = "reward_"
_OWN = ("prompts", "completions", "answers", "completion_ids")
_CONVENTION = "def reward_short(prompts, answers, **columns): return [-float(len(answer)) for answer in answers]"


class OwnReward:
    """One function of the user's file."""

    def __init__(self, function: Callable[..., Any], file: Path) -> None:
        self.name: str = function.__name__
        self._function, self._file = function, file
        self._line = function.__code__.co_firstlineno if hasattr(function, "__code__") else 1
        self._wanted = _wanted(function, self._where())

    def __call__(self, answers: Sequence[Answer]) -> list[float]:
        """Return what the function says of the answers; TrainingError with the file's line when it does not work."""
        arguments = self._arguments(answers)
        try:
            found = self._function(**arguments)
        except Exception as error:
            line = _line_in(error, self._file) or self._line
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
    text = _read(path)
    names: dict[str, Any] = {"__name__": "tuitune_rewards", "__file__": str(path)}
    # The traceback of a later error shows the lines that ran, whatever the file says by then.
    linecache.cache[str(path)] = (len(text), None, text.splitlines(keepends=True), str(path))
    try:
        exec(compile(text, str(path), "exec"), names)
    except SyntaxError as error:
        raise _unreadable(path, error) from error
    except Exception as error:
        line = _line_in(error, path)
        raise UsageError(
            f"reward_file {path}, line {line}: {type(error).__name__}: {clean_line(str(error))}"
        ) from error
    found = [value for name, value in names.items() if name.startswith(_BEGIN) and inspect.isfunction(value)]
    if not found:
        raise _empty(path)
    return [OwnReward(function, path) for function in found]


def names_in(path: Path) -> list[str]:
    """Return the names of the file's rewards without running it; UsageError says what is wrong with it."""
    try:
        tree = ast.parse(_read(path), str(path))
    except (SyntaxError, ValueError) as error:
        raise _unreadable(path, error) from error
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith(_BEGIN)]
    plain = not any(isinstance(node, ast.Import | ast.ImportFrom | ast.If | ast.Assign) for node in tree.body)
    if not names and plain:  # otherwise they may come from elsewhere
        raise _empty(path)
    return names


def _unreadable(path: Path, error: Exception) -> UsageError:
    line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
    return UsageError(f"reward_file {path}{line}: {error.msg if isinstance(error, SyntaxError) else error}")


def _empty(path: Path) -> UsageError:
    return UsageError(f"reward_file {path} has no function named {_BEGIN}...", f"for example: {_CONVENTION}")


def digest(path: Path) -> str:
    """Return the SHA-256 of the file, in hexadecimal."""
    return hashlib.sha256(_bytes(path)).hexdigest()


def _read(path: Path) -> str:
    try:
        return _bytes(path).decode()
    except UnicodeDecodeError as error:
        raise UsageError(f"reward_file {path} is no Python file: it is not UTF-8 text") from error


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"reward_file {path} cannot be read: {error.strerror}", "name a Python file, or remove reward_file"
        ) from error


def _wanted(function: Callable[..., Any], where: str) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Return the keywords that a function takes (None: any), and those that it needs."""
    if inspect.iscoroutinefunction(function):
        raise UsageError(f"{where} is a coroutine", "write it with def instead of async def")
    parameters = inspect.signature(function).parameters.values()
    if any(each.kind is each.POSITIONAL_ONLY for each in parameters):
        raise UsageError(f"{where} has arguments without a name", "it is called with keywords: remove the /")
    named = [each for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    needed = tuple(each.name for each in named if each.default is each.empty)
    anything = any(each.kind is each.VAR_KEYWORD for each in parameters)
    return None if anything else tuple(each.name for each in named), needed


def _line_in(error: BaseException, path: Path) -> int:
    """Return the deepest line of the file in a traceback."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return next((line for line in reversed(lines) if line), 0)
