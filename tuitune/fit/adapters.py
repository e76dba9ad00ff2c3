"""Adapters on this machine: results and checkpoints of runs, and folders that peft saved."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tuitune.errors import TuiTuneError
from tuitune.fit import embedded
from tuitune.fit.files import read_object, regular_size
from tuitune.fit.folders import is_adapter
from tuitune.fit.layers import Block
from tuitune.fit.safetensors import BadSafetensors, read_safetensors
from tuitune.fit.scan import folders_below
from tuitune.recipe import Document
from tuitune.run import RunDir, index, manifest
from tuitune.run.origin import Origin
from tuitune.text import clean_line

AdapterKind = Literal["result", "checkpoint", "folder"]
_WEIGHTS = "adapter_model.safetensors"
_MOST_RUNS = 300
_MOST_ADAPTERS = 500
_NEWEST_CHECKPOINTS = 10


@dataclass(frozen=True)
class AdapterInfo:
    """An adapter as a list shows it, its words cleaned; `base` is the model it belongs to, as whoever made it named it.

    `places` are where a relative `base` may lie. `changed` is a time in seconds since 1970.
    """

    name: str
    path: Path
    base: str
    kind: AdapterKind
    run: str | None = None
    step: int | None = None
    bytes: int = 0
    changed: float = 0.0
    places: tuple[Path, ...] = ()


def scan_adapters(cwd: Path | None = None) -> list[AdapterInfo]:
    """List the adapters of all runs, newest run first, and those in folders under `cwd`."""
    found: dict[Path, AdapterInfo] = {}
    for info in _all(cwd or Path.cwd()):
        found.setdefault(info.path.resolve(), info)
        if len(found) >= _MOST_ADAPTERS:
            break
    return list(found.values())


def of_model(found: Sequence[AdapterInfo], name: str, path: Path | None = None) -> list[AdapterInfo]:
    """Return the adapters that belong to the model called `name`, which lies at `path`."""
    return [info for info in found if _belongs(info, name, path)]


def adapter_blocks(folder: Path) -> tuple[Block, ...] | None:
    """Return the tensors of an adapter for an estimate; None when they cannot be read."""
    try:
        tensors = read_safetensors(folder / _WEIGHTS)
    except BadSafetensors:
        return None
    return tuple(Block(tensor.shape) for tensor in tensors.values())


def _all(cwd: Path) -> Iterator[AdapterInfo]:
    with contextlib.suppress(TuiTuneError, OSError):  # without a home there are no runs
        for run in index.all_runs()[:_MOST_RUNS]:
            with contextlib.suppress(TuiTuneError, OSError):
                yield from _of_run(run)
    for folder in folders_below(cwd):
        # What lies in a run's folder and was not listed above is not whole.
        if is_adapter(folder) and regular_size(folder / _WEIGHTS) and not RunDir(folder.parent).is_run():
            base = read_object(folder / "adapter_config.json").get("base_model_name_or_path")
            name = os.path.relpath(folder, cwd)
            yield _info(name, folder, base if isinstance(base, str) else "", "folder", places=(cwd,))


def _of_run(run: RunDir) -> Iterator[AdapterInfo]:
    saved = [run.final, *reversed(run.checkpoints[-_NEWEST_CHECKPOINTS:])]
    saved = [folder for folder in saved if regular_size(folder / _WEIGHTS)]
    if not saved:
        return
    base = Document.read(run.recipe).values().get("model_name_or_path")
    origin = Origin.of(run)
    for folder in saved:
        # The sizes tell a torn one from a whole one; hashing gigabytes is for those who load it.
        if not manifest.verify(folder, deep=False).valid:
            continue
        kind: AdapterKind = "result" if folder == run.final else "checkpoint"
        name = f"{run.name}/{folder.name}"
        step = manifest.read(folder).step
        yield _info(name, folder, str(base or ""), kind, run.name, step, origin.folders if origin else ())


def _info(
    name: str,
    folder: Path,
    base: str,
    kind: AdapterKind,
    run: str | None = None,
    step: int | None = None,
    places: tuple[Path, ...] = (),
) -> AdapterInfo:
    weights = folder / _WEIGHTS
    shown = clean_line(run) if run else None
    size, changed = regular_size(weights) or 0, weights.stat().st_mtime
    return AdapterInfo(clean_line(name), folder, base, kind, shown, step, size, changed, places)


def _belongs(info: AdapterInfo, name: str, path: Path | None) -> bool:
    if not info.base:
        return False
    if info.base.strip().lower() == name.strip().lower():
        # The same relative path means another model elsewhere.
        return path is None or not info.places or not _is_relative_path(name) or path.resolve() in _meant(info)
    return path is not None and path.resolve() in _meant(info)


def _is_relative_path(name: str) -> bool:
    return name.lower() != embedded.NAME and not Path(name).expanduser().is_absolute() and Path(name).exists()


def _meant(info: AdapterInfo) -> set[Path]:
    with contextlib.suppress(RuntimeError, OSError, ValueError):
        given = Path(info.base).expanduser()
        return {(place / given).resolve() for place in (info.places or (Path(),))}
    return set()
