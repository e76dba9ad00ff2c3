"""What a command can be about: runs, their checkpoints, adapters and models, to choose from a list."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from tuitune.errors import TuiTuneError
from tuitune.face.find import is_live
from tuitune.fit.adapters import scan_adapters
from tuitune.fit.models import scan
from tuitune.run import RunDir, index, manifest
from tuitune.run.directory import CHECKPOINT
from tuitune.run.imported import Imported, has_weights, holder
from tuitune.text import clean_line
from tuitune.tui.asking import PickItem
from tuitune.tui.panes.model_items import WHERE, size_of
from tuitune.tui.picking import pick

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

Kind = Literal["run", "checkpoint", "adapter", "model"]
KINDS: tuple[Kind, ...] = ("run", "checkpoint", "adapter", "model")
_MOST_RUNS = 200
_CHECKPOINTS = 5  # of one run


def ask_subject(
    app: TuiTune,
    then: Callable[[str], None],
    *,
    title: str = "Which model?",
    chosen: str | None = None,
    kinds: Sequence[Kind] = KINDS,
) -> None:
    """Let the user choose; `then` gets a word as a command takes it: the path of a run or folder, or a model's name."""
    nothing = "there is nothing to choose from yet: train something first"
    pick(app, title, lambda: subjects(kinds), then, group="subjects", chosen=chosen, nothing=nothing)


def subjects(kinds: Sequence[Kind] = KINDS, *, live: bool = False) -> list[PickItem]:
    """Return what there is, newest first in each group. Looks at the disk.

    live: runs in training can be asked as they are, so they are there before they have saved anything.
    """
    items: list[PickItem] = []
    runs = _runs()
    training = training_runs() if live else []
    if "run" in kinds:
        items += [
            PickItem(str(run.path), clean_line(run.name), "in training, as it is now", "Runs") for run in training
        ]
        items += [_run_item(run, folder) for run, folder in runs if run not in training]
    if "checkpoint" in kinds:
        items += [each for run, _ in runs for each in _checkpoints(run)]
    if "adapter" in kinds:
        found = [info for info in scan_adapters() if info.run is None]
        items += [PickItem(str(info.path.absolute()), info.name, clean_line(info.base), "Adapters") for info in found]
    if "model" in kinds:
        items += [
            PickItem(str(info.path) if info.kind in ("local", "gguf") and info.path else info.name, info.name,
                     f"{size_of(info)}  {WHERE[info.kind]}", "Models")
            for info in scan()
        ]  # fmt: skip
    return items


def default_subject(app: TuiTune) -> str | None:
    """Return the run that the app shows if it has weights, else the newest that has. Looks at the disk."""
    shown = app.control.run
    if shown is not None and _newest(shown) is not None:
        return str(shown.path)
    return next((str(run.path) for run, _ in _runs(1)), None)


def named(word: str) -> str:
    """Return what a subject is called in a title: the name of a run, run/checkpoint, or a model's name."""
    path = Path(word)
    if not path.is_absolute():
        return clean_line(word)
    run = _run_at(path.parent) or (run_of(word) if CHECKPOINT.fullmatch(path.name) else None)
    return clean_line(f"{run.name}/{path.name}" if run is not None else path.name)


def typed(word: str) -> str:
    """Return a subject as one would type it: a run that its name alone means, by its name. Looks at the disk."""
    run = run_of(word)
    if run is not None and Path(word) == run.path and not run.name.startswith("-"):
        with contextlib.suppress(TuiTuneError):
            return run.name if index.find(run.name).path == run.path else word
    return word


def run_of(word: str) -> RunDir | None:
    """Return the run that a subject is, or lies in."""
    with contextlib.suppress(TuiTuneError, OSError, ValueError):
        path = Path(word)
        if path.is_absolute():
            return _run_at(path, path.parent) or holder(path)
        return index.find(word)
    return None


def _run_at(*places: Path) -> RunDir | None:
    return next((run for run in map(RunDir, places) if run.is_run()), None)


def _runs(most: int = _MOST_RUNS) -> list[tuple[RunDir, Path]]:
    """Return the runs that have weights, with their newest."""
    found: list[tuple[RunDir, Path]] = []
    with contextlib.suppress(TuiTuneError, OSError):
        for run in index.all_runs():
            folder = _newest(run)
            if folder is not None:
                found.append((run, folder))
            if len(found) >= most:
                break
    return found


def training_runs() -> list[RunDir]:
    """Return the runs that train now, newest first. Looks at the disk."""
    with contextlib.suppress(TuiTuneError, OSError):
        return [run for run in index.all_runs() if is_live(run)]
    return []


def _newest(run: RunDir) -> Path | None:
    """Return the result of a run, or its newest whole checkpoint, by names and sizes; where an imported one's lie."""
    with contextlib.suppress(TuiTuneError, OSError):
        if (imported := Imported.of(run)) is not None:
            return imported.folder(run)
        if manifest.verify(run.final, deep=False).valid:
            return run.final
        return manifest.newest_valid(run.path, deep=False)[0]
    return None


def _run_item(run: RunDir, folder: Path) -> PickItem:
    inside = folder.name if folder.parent == run.path else "imported"
    what = "its result" if folder == run.final else inside
    return PickItem(str(run.path), clean_line(run.name), what, "Runs")


def _checkpoints(run: RunDir) -> Iterator[PickItem]:
    if (imported := Imported.of(run)) is not None:
        for folder in reversed([path for path in imported.checkpoints if has_weights(path)][-_CHECKPOINTS:]):
            yield _checkpoint_item(run, folder, int(folder.name.rpartition("-")[2]))
        return
    for folder in reversed(run.checkpoints[-_CHECKPOINTS:]):
        with contextlib.suppress(TuiTuneError, OSError):
            if manifest.verify(folder, deep=False).valid:
                yield _checkpoint_item(run, folder, manifest.read(folder).step)


def _checkpoint_item(run: RunDir, folder: Path, step: int) -> PickItem:
    return PickItem(str(folder), f"{clean_line(run.name)}/{folder.name}", f"step {step:,}", "Checkpoints")
