"""Every run of the user's: those at home, and those that a recipe's `output_dir` put elsewhere."""

from __future__ import annotations

import difflib
import os
import shlex
from collections.abc import Sequence
from pathlib import Path

import orjson

from tuitune.errors import RunError
from tuitune.run import places
from tuitune.run.directory import RunDir
from tuitune.run.files import PRIVATE_FILE, write_all
from tuitune.run.packing import pack

_FILE = "index.jsonl"


def register(path: str | Path) -> None:
    """Remember a run directory that does not lie at home."""
    run = RunDir(Path(path))
    if run.path.parent == places.runs() or run.path in _remembered():
        return
    fd = os.open(places.home() / _FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
    try:
        # Begun with a line break, so that a line torn by a full disk cannot spoil this one.
        write_all(fd, b"\n" + pack({"path": run.path}) + b"\n")
    finally:
        os.close(fd)


def all_runs() -> list[RunDir]:
    """Return the runs that still exist, the one last active first."""
    paths = dict.fromkeys([*places.runs().iterdir(), *_remembered()])
    return sorted((run for run in map(RunDir, paths) if run.is_run()), key=_activity, reverse=True)


def latest() -> RunDir:
    """Return the run last active; raises RunError when there is none."""
    found = all_runs()
    if not found:
        raise RunError("there are no runs yet", "start one with `tuitune train RECIPE`")
    return found[0]


def find(name_or_path: str | Path) -> RunDir:
    """Return the run with this name, path or beginning of a name; raises RunError when none or several have it."""
    text = str(name_or_path)
    if isinstance(name_or_path, Path) or "/" in text or text.startswith(("~", ".")):
        return _at(Path(text))
    known = all_runs()
    exact = [run for run in known if run.name == text]
    if not exact and RunDir(Path(text)).is_run():
        return RunDir(Path(text))
    matches = exact or [run for run in known if text and run.name.startswith(text)]
    if len(matches) != 1:
        raise _ambiguous(text, matches) if matches else _unknown(text, known)
    return matches[0]


def place_of(name: str, path: Path) -> Path:
    """Return `path` if something is there, else the run of exactly this name if there is one, else `path`."""
    if path.exists() or os.sep in name:
        return path
    return next((run.path for run in all_runs() if run.name == name), path)


def _at(path: Path) -> RunDir:
    run = RunDir(path)
    if not run.is_run():
        raise RunError(f"there is no run at {run.path}", "`tuitune runs` lists the runs there are")
    return run


def _ambiguous(text: str, matches: Sequence[RunDir]) -> RunError:
    # Runs of one name in several places can only be told apart by their paths.
    names = [run.name for run in matches]
    shown = [str(run.path) if names.count(run.name) > 1 else run.name for run in matches[:5]]
    return RunError(f"{len(matches)} runs are called {text}, or begin so", f"which one: {', '.join(shown)}?")


def _unknown(text: str, known: Sequence[RunDir]) -> RunError:
    from tuitune.run.trash import trashed  # which imports this module

    if any(each.name == text for each in trashed()):
        return RunError(f"{text} was deleted", f"it is in the trash: tuitune runs restore {shlex.quote(text)}")
    near = difflib.get_close_matches(text, [run.name for run in known], n=3, cutoff=0.3)
    hint = f"did you mean {' or '.join(near)}?" if near else "`tuitune runs` lists the runs there are"
    return RunError(f"there is no run {text!r:.100}", hint)


def _remembered() -> list[Path]:
    try:
        lines = (places.home() / _FILE).read_bytes().splitlines()
    except FileNotFoundError:
        return []
    return list(dict.fromkeys(path for line in lines if (path := _path_of(line)) is not None))


def _path_of(line: bytes) -> Path | None:
    try:
        values = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    path = values.get("path") if isinstance(values, dict) else None
    return Path(path) if isinstance(path, str) and os.path.isabs(path) else None


def _activity(run: RunDir) -> float:
    try:
        return max(path.stat().st_mtime for path in (run.events, run.state) if path.exists())
    except (OSError, ValueError):
        return 0.0
