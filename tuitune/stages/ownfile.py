"""A Python file of the user's own with functions of an agreed name: run, looked through without running, blamed."""

from __future__ import annotations

import ast
import hashlib
import inspect
import linecache
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuitune.errors import UsageError
from tuitune.text import clean_line


@dataclass(frozen=True)
class OwnFile:
    """A kind of such files: what it is called in words, how its functions' names begin, and an example of one."""

    kind: str
    begin: str
    convention: str
    hint: str = ""

    def functions(self, path: Path) -> list[Callable[..., Any]]:
        """Run the file and return its functions in their order; UsageError says what is wrong, and in which line."""
        text = self._read(path)
        names: dict[str, Any] = {"__name__": f"tuitune_{self.begin.rstrip('_')}s", "__file__": str(path)}
        # The traceback of a later error shows the lines that ran, whatever the file says by then.
        linecache.cache[str(path)] = (len(text), None, text.splitlines(keepends=True), str(path))
        try:
            exec(compile(text, str(path), "exec"), names)
        except SyntaxError as error:
            raise self._unreadable(path, error) from error
        except (Exception, SystemExit) as error:
            line = line_in(error, path)
            raise UsageError(
                f"{self.kind} {path}, line {line}: {type(error).__name__}: {clean_line(str(error))}"
            ) from error
        named = [value for name, value in names.items() if name.startswith(self.begin)]
        found: list[Callable[..., Any]] = [value for value in named if inspect.isfunction(value)]
        if not found:
            raise self._empty(path)
        return found

    def names(self, path: Path) -> list[str]:
        """Return the names of the file's functions without running it; UsageError says what is wrong with it."""
        try:
            tree = ast.parse(self._read(path), str(path))
        except (SyntaxError, ValueError) as error:
            raise self._unreadable(path, error) from error
        names = [each.name for each in tree.body if isinstance(each, ast.FunctionDef)]
        names = [name for name in names if name.startswith(self.begin)]
        plain = not any(isinstance(node, ast.Import | ast.ImportFrom | ast.If | ast.Assign) for node in tree.body)
        if not names and plain:  # otherwise they may come from elsewhere
            raise self._empty(path)
        return names

    def digest(self, path: Path) -> str:
        """Return the SHA-256 of the file, in hexadecimal."""
        return hashlib.sha256(self._bytes(path)).hexdigest()

    def _read(self, path: Path) -> str:
        try:
            return self._bytes(path).decode()
        except UnicodeDecodeError as error:
            raise UsageError(f"{self.kind} {path} is no Python file: it is not UTF-8 text") from error

    def _bytes(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError as error:
            raise UsageError(f"{self.kind} {path} cannot be read: {error.strerror}", self.hint) from error

    def _unreadable(self, path: Path, error: Exception) -> UsageError:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        return UsageError(f"{self.kind} {path}{line}: {error.msg if isinstance(error, SyntaxError) else error}")

    def _empty(self, path: Path) -> UsageError:
        return UsageError(
            f"{self.kind} {path} has no function named {self.begin}...", f"for example: {self.convention}"
        )


def wanted(function: Callable[..., Any], where: str) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
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


def first_line(function: Callable[..., Any]) -> int:
    """Return the line of the file in which a function begins."""
    return function.__code__.co_firstlineno if hasattr(function, "__code__") else 1


def line_in(error: BaseException, path: Path) -> int:
    """Return the deepest line of the file in a traceback, 0 where it is not in there."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return next((line for line in reversed(lines) if line), 0)
