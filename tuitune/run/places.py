"""Where TuiTune keeps things of the user's: runs and their index, and what can be fetched again."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

from tuitune.errors import RunError
from tuitune.run.files import private_dir


def home() -> Path:
    """Return the directory of runs and settings, made if missing: $TUITUNE_HOME or the platform's user data."""
    return _place("TUITUNE_HOME", platformdirs.user_data_path("tuitune"))


def cache() -> Path:
    """Return the directory of what can be fetched or converted again: $TUITUNE_CACHE or the platform's cache."""
    return _place("TUITUNE_CACHE", platformdirs.user_cache_path("tuitune"))


def runs() -> Path:
    """Return the directory that holds runs without an `output_dir`."""
    return _made(home() / "runs", "TUITUNE_HOME")


def _place(variable: str, default: Path) -> Path:
    given = os.environ.get(variable, "")
    return _made(Path(given).expanduser().absolute() if given else default, variable)


def _made(path: Path, variable: str) -> Path:
    try:
        return private_dir(path)
    except OSError as error:
        raise RunError(
            f"{path} cannot be used: {error.strerror}", f"set {variable} to a directory you can write"
        ) from error
