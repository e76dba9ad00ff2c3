"""Who uses a run: commands at work on it, and runs that were trained on from its weights."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tuitune.errors import RunError
from tuitune.run import RunDir, index
from tuitune.run.imported import Imported
from tuitune.run.job import Job
from tuitune.run.uses import all_at_work

_MOST = 1 << 16  # bytes of a recipe that is looked through


def refuse_used(run: RunDir) -> None:
    """Raise RunError while a command of TuiTune's own (evaluate, export, serve) works on a run."""
    places = _places(run)
    for job in Job.all():
        if not any(word.partition("/")[0] == run.name or _is_in(word, places) for word in job.argv):
            continue
        job.read()
        if job.status == "running":
            raise RunError(f"{run.name} is in use: {job.title}", "wait for that, or cancel it")
    for words, folder in all_at_work():
        if any(_may_mean(word, folder, run.name, places) for word in words[1:]):
            raise RunError(f"{run.name} is in use: tuitune {' '.join(words)}", "wait for that, or end it")


def _places(run: RunDir) -> list[Path]:
    """Return the run's folder, and where its weights lie if it was imported: what works on those writes into it."""
    found = Imported.of(run)
    return [run.path] if found is None else [run.path, Path(found.source)]


def _may_mean(word: str, folder: str, name: str, places: Sequence[Path]) -> bool:
    """Whether a word of a command line, typed in `folder`, may name a run or something in it."""
    what = word.rpartition("=")[2]
    if not what or what.startswith("-"):
        return False
    head = what.partition("/")[0]  # empty for a path from the root
    return bool(head and name.startswith(head)) or _is_in(str(Path(folder, what).absolute()), places)


def _is_in(word: str, places: Sequence[Path]) -> bool:
    return any(word == str(place) or word.startswith(f"{place}/") for place in places)


def used_by(run: RunDir) -> list[str]:
    """Return the names of the runs whose recipes name this run's folder: they were trained on from its weights."""
    mark = os.fsencode(run.path)
    return [other.name for other in index.all_runs() if other.path != run.path and _names(other, mark)]


def _names(run: RunDir, mark: bytes) -> bool:
    try:
        with run.recipe.open("rb") as stream:
            text = stream.read(_MOST)
    except OSError:
        return False
    at = text.find(mark)
    # A longer name may begin like this one.
    return at >= 0 and text[at + len(mark) : at + len(mark) + 1] in (b"", b"/", b"\n", b'"', b"'", b",", b" ", b"]")
