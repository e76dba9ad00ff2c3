"""Runs that were deleted: moved aside on their own file system, restored as they were, gone only when asked twice.

`$TUITUNE_HOME/trash/<id>/trashed.json` says what was where; the run lies beside it as `run`, or, when it came from
another file system, in `.tuitune-trash/<id>/run` next to its former place.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import secrets
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from tuitune.errors import RunError, UsageError
from tuitune.run import index, places
from tuitune.run.directory import RunDir
from tuitune.run.files import private_dir, write_atomic
from tuitune.run.packing import record, restore
from tuitune.run.state import State, liveness

_RECORD = "trashed.json"
_BESIDE = ".tuitune-trash"
_RUN = "run"


@dataclass(frozen=True, slots=True)
class Trashed:
    """A deleted run: its id, where it was, where it is, and when it was deleted (unix seconds)."""

    id: str
    path: str
    place: str
    when: float

    @property
    def name(self) -> str:
        """The name of the run."""
        return Path(self.path).name

    @property
    def size(self) -> int:
        """The bytes it takes; reads the whole tree."""
        return size_of(Path(self.place))


def delete(run: RunDir) -> Trashed:
    """Move a run to the trash and return it. Raises RunError while it trains, or when it cannot be moved."""
    _refuse_place(run.path)
    try:
        with run.lock():
            if liveness(State.read(run.state)) == "live":
                raise RunError(f"{run.name} is training", f"stop it first: tuitune stop {run.name}")
            return _move(run)
    except OSError as error:
        raise RunError(
            f"{run.path} cannot be moved to the trash: {error.strerror}", "look at its permissions"
        ) from error


def _refuse_place(path: Path) -> None:
    real = path.resolve()
    if any(place == real or real in place.parents for place in (Path.cwd().resolve(), Path.home().resolve())):
        raise RunError(f"{path} holds your current or home directory and is not deleted", "go elsewhere first")


def _move(run: RunDir) -> Trashed:
    identifier = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
    folder = private_dir(_folder() / identifier)
    try:
        return _move_to(run, folder, identifier)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        if error.errno != errno.EXDEV:
            raise
    # Renaming works only within a file system, and copying gigabytes is not what deleting should do.
    beside = private_dir(private_dir(run.path.parent / _BESIDE) / identifier)
    private_dir(_folder() / identifier)
    return _move_to(run, beside, identifier)


def _move_to(run: RunDir, folder: Path, identifier: str) -> Trashed:
    found = Trashed(identifier, str(run.path), str(folder / _RUN), time.time())
    # The record comes first: a crash between the two leaves a record without a run, which is passed over.
    # The standard library's writer: a name whose bytes are no UTF-8 comes back as it was.
    write_atomic(_folder() / identifier / _RECORD, json.dumps(record(found)).encode() + b"\n", sync=True)
    run.path.rename(folder / _RUN)
    return found


def _folder() -> Path:
    return private_dir(places.home() / "trash")


def trashed() -> list[Trashed]:
    """Return the deleted runs that can be restored, the one deleted last first."""
    found = [each for path in _folder().iterdir() if (each := _read(path)) is not None]
    return sorted((each for each in found if os.path.lexists(each.place)), key=lambda each: each.when, reverse=True)


def _read(path: Path) -> Trashed | None:
    try:
        found = restore(Trashed, json.loads((path / _RECORD).read_bytes()))
    except (OSError, ValueError, AttributeError, TypeError):
        return None
    place = Path(found.place)
    # A record that somebody else wrote must not make `purge` delete another place.
    ours = place.parent == path or place.parent.parent == Path(found.path).parent / _BESIDE
    return found if ours and place.name == _RUN and path.name == found.id == place.parent.name else None


def find(word: str) -> Trashed:
    """Return the deleted run with this id or name, the one deleted last of several. Raises UsageError."""
    found = trashed()
    for each in found:
        if word in (each.id, each.name):
            return each
    near = [each for each in found if word and each.name.startswith(word)]
    if len({each.name for each in near}) == 1:
        return near[0]
    hint = f"it holds {', '.join(each.name for each in found[:5])}" if found else "it is empty"
    raise UsageError(f"there is no run {word!r:.100} in the trash", hint)


def restore_run(found: Trashed) -> RunDir:
    """Put a deleted run back where it was, under a free name if that place is taken, and return it. Raises RunError."""
    target = Path(found.path)
    number = 2
    while os.path.lexists(target):
        target, number = Path(f"{found.path}-{number}"), number + 1
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        Path(found.place).rename(target)
    except OSError as error:
        raise RunError(
            f"{found.name} cannot be restored to {target.parent}: {error.strerror}", f"it still lies in {found.place}"
        ) from error
    _forget(found)
    index.register(target)
    return RunDir(target)


def purge(found: Trashed) -> int:
    """Delete a run in the trash for good and return the bytes that it took. Raises RunError when some of it stays."""
    place = Path(found.place)
    size = size_of(place)
    try:
        if place.is_symlink():
            place.unlink()
        else:
            shutil.rmtree(place)
    except OSError as error:
        raise RunError(f"{place} cannot be deleted: {error.strerror}", "what is left of it stays there") from error
    _forget(found)
    return size


def _forget(found: Trashed) -> None:
    shutil.rmtree(_folder() / found.id, ignore_errors=True)
    beside = Path(found.place).parent
    if beside.parent.name == _BESIDE:
        with contextlib.suppress(OSError):  # another run may lie there still
            beside.rmdir()
            beside.parent.rmdir()


def size_of(path: Path) -> int:
    """Return the bytes of the files below `path`, links not followed."""
    total = 0
    for root, _, files in os.walk(path):
        for name in files:
            with contextlib.suppress(OSError):
                total += os.lstat(os.path.join(root, name)).st_size
    return total
