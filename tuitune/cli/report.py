"""The one place that tells the user of failures: to standard error, cleaned, one line each."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterable
from typing import TYPE_CHECKING

from tuitune.errors import RecipeError, Stopped, TuiTuneError
from tuitune.run import places
from tuitune.run.files import PRIVATE_FILE

if TYPE_CHECKING:
    from tuitune.recipe import Problem


def failure(error: TuiTuneError) -> int:
    """Print what happened and what to do; return the exit code."""
    _line("" if isinstance(error, Stopped) else "error", error.message, "bold red")
    if isinstance(error, RecipeError):
        problems(error.problems)
    hint(error.hint)
    return error.exit_code


def problems(found: Iterable[Problem]) -> None:
    """Print problems of a recipe, errors first."""
    for problem in sorted(found, key=lambda problem: problem.level != "error"):
        style = "red" if problem.level == "error" else "yellow"
        _line(f"  {problem.level}", str(problem), style)


def hint(text: str) -> None:
    """Print what to do about it, if there is something."""
    if text:
        _line("  hint", text, "cyan")


def usage(message: str, usage_line: str) -> int:
    """Print what is wrong with a command line; return the exit code."""
    _line("error", message, "bold red")
    hint(usage_line)
    return 2


def fault(error: BaseException) -> int:
    """Say that TuiTune itself is wrong, and where the traceback lies; return the exit code."""
    if os.environ.get("TUITUNE_DEBUG") == "1":
        traceback.print_exception(error)
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    _line("error", f"a fault in TuiTune: {text}", "bold red")
    hint(_keep(error))
    return 1


def _keep(error: BaseException) -> str:
    try:
        path = places.home() / "crash.log"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
    except (OSError, TuiTuneError):
        return "set TUITUNE_DEBUG=1 to see where"
    with os.fdopen(fd, "a", encoding="utf-8", errors="backslashreplace") as log:
        log.write(f"\n{time.strftime('%Y-%m-%d %H:%M:%S')} {' '.join(sys.argv)}\n")
        traceback.print_exception(error, file=log)
    return f"the whole story is at the end of {path}"


def _line(label: str, message: str, style: str) -> None:
    from rich.text import Text

    from tuitune.cli.console import screen
    from tuitune.text import clean_line

    console = screen(sys.stderr)
    text = Text.assemble((f"{label}: " if label else "", style), clean_line(message))
    console.print(text, soft_wrap=not console.is_terminal)
