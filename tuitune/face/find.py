"""Find the run that a command is about."""

from __future__ import annotations

import re

from tuitune.errors import RunError, UsageError
from tuitune.run import RunDir, State, index, liveness

_NAME = re.compile(r"[^\W_][\w.+-]{0,99}")


def find(name: str) -> RunDir:
    """Return the run called so; raises UsageError when there is none, or more than one."""
    try:
        return index.find(name)
    except RunError as error:
        raise UsageError(error.message, error.hint) from error


def is_live(run: RunDir) -> bool:
    """Tell whether an engine trains there now."""
    return liveness(State.read(run.state)) == "live"


def newest_live() -> RunDir:
    """Return the run last active of those that train now; raises RunError when none does."""
    for run in index.all_runs():
        if is_live(run):
            return run
    raise RunError("no run is training now", "`tuitune runs` lists them all, `tuitune resume RUN` goes on with one")


def plain_name(name: str) -> str:
    """Return `name` if a run may be called so; raises UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"a run cannot be called {name!r:.100}",
            "use letters, digits, dots, hyphens and underscores, at most 100; output_dir=PATH puts a run elsewhere",
        )
    return name
