"""Checkpoints that are whole or do not exist: written aside, hashed, listed in a manifest, then renamed into place."""

from __future__ import annotations

import os
import secrets
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tuitune.errors import RunError
from tuitune.run.directory import CHECKPOINT, RunDir
from tuitune.run.files import PRIVATE_DIR, PRIVATE_FILE, private_dir, sync_dir, write_atomic
from tuitune.run.listing import NAME, Listed, Manifest, compose, file_names, measure, read

__all__ = [
    "NAME",
    "SPARE_BYTES",
    "Manifest",
    "Sealed",
    "Verdict",
    "checkpoint_verdict",
    "discard",
    "free_space",
    "newest_valid",
    "read",
    "room_for",
    "seal",
    "set_aside",
    "supersede",
    "sweep",
    "temporary",
    "verify",
]

_TEMPORARY = ".tmp-checkpoint-"
_TRASH = ".trash-"
# The journal, the state and the log go on growing while a checkpoint is written.
SPARE_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a directory is what its manifest says, and if not, why; `extra` names files it does not list."""

    valid: bool
    reason: str = ""
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed directory: `kept` when a valid one of that name was there already, `aside` where another one went."""

    path: Path
    bytes: int
    kept: bool = False
    aside: Path | None = None


def temporary(run_path: Path, step: int) -> Path:
    """Make and return a private directory in which the checkpoint of `step` is to be written before it is sealed."""
    return private_dir(run_path / f"{_TEMPORARY}{step}-{os.getpid()}-{secrets.token_hex(3)}")


def seal(
    tmp_dir: Path, final_dir: Path, meta: Mapping[str, object], *, step: int | None = None, attempt: int | None = None
) -> Sealed:
    """Make `tmp_dir` durable, list its files in a manifest and rename it to `final_dir` on the same file system.

    `step` and `attempt` are taken from `meta` when not given, the step then from a name such as checkpoint-20. What
    lies at `final_dir` is kept when it is valid and as good: of this step, and of this attempt or equal in every byte.
    Else it is set aside. Raises OSError when the disk is full, RunError when `tmp_dir` holds links or special files.
    """
    files = {name: _settle(tmp_dir / name) for name in file_names(tmp_dir)}
    step = _number(meta.get("step"), _step_of(final_dir)) if step is None else step
    attempt = _number(meta.get("attempt"), 0) if attempt is None else attempt
    write_atomic(tmp_dir / NAME, compose(files, step, attempt, meta), sync=True)
    for root, _, _ in os.walk(tmp_dir, topdown=False):
        Path(root).chmod(PRIVATE_DIR)
        sync_dir(Path(root))
    size = sum(file.bytes for file in files.values())
    if _as_good(final_dir, step, attempt, files):
        discard(tmp_dir)
        return Sealed(final_dir, size, kept=True)
    aside = set_aside(final_dir) if os.path.lexists(final_dir) else None
    tmp_dir.rename(final_dir)
    sync_dir(final_dir.parent)
    return Sealed(final_dir, size, aside=aside)


def _settle(path: Path) -> Listed:
    # Libraries write with the umask's permissions, and nobody else asks for the bytes to reach the disk.
    path.chmod(PRIVATE_FILE)
    listed = measure(path)
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
    return listed


def _as_good(final_dir: Path, step: int, attempt: int, files: Mapping[str, Listed]) -> bool:
    # The result of an earlier attempt must not stand in for that of this one, however whole it is.
    if not final_dir.is_dir() or not verify(final_dir).valid:
        return False
    there = read(final_dir)
    return there.step == step and (there.attempt >= attempt or there.files == files)


def verify(directory: Path, deep: bool = True) -> Verdict:
    """Check a directory against its manifest: names and sizes, and with `deep` every byte."""
    try:
        files = read(directory).files
        for name, listed in files.items():
            _check(directory, name, listed, deep)
        extra = sorted(set(file_names(directory)) - set(files))
    except FileNotFoundError as error:
        return Verdict(False, f"{Path(error.filename or directory).name} is missing")
    except OSError as error:
        return Verdict(False, f"{Path(error.filename or directory).name} cannot be read: {error.strerror}")
    except (ValueError, RunError) as error:
        return Verdict(False, str(error))
    return Verdict(True, extra=tuple(extra))


def _check(directory: Path, name: str, listed: Listed, deep: bool) -> None:
    path = directory / name
    inside = [parent for parent in path.parents if parent.is_relative_to(directory) and parent != directory]
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or any(parent.is_symlink() for parent in inside):
        raise ValueError(f"{name} is not a regular file")
    if status.st_size != listed.bytes:
        raise ValueError(f"{name} has {status.st_size} bytes instead of {listed.bytes}")
    if deep and measure(path) != listed:
        raise ValueError(f"the content of {name} has changed")


def newest_valid(run_path: Path, deep: bool = True) -> tuple[Path | None, list[tuple[Path, str]]]:
    """Return the last checkpoint that can be trusted, and the later ones that cannot with the reasons, newest first."""
    rejected: list[tuple[Path, str]] = []
    for path in reversed(RunDir(run_path).checkpoints):
        verdict = checkpoint_verdict(path, deep)
        if verdict.valid:
            return path, rejected
        rejected.append((path, verdict.reason))
    return None, rejected


def checkpoint_verdict(path: Path, deep: bool = True) -> Verdict:
    """Check a checkpoint like `verify`, and that its name tells the step it was written at."""
    verdict = verify(path, deep)
    if verdict.valid and (step := read(path).step) != _step_of(path):
        return Verdict(False, f"it is the checkpoint of step {step}, not of the step in its name")
    return verdict


def supersede(run_path: Path, step: int) -> list[Path]:
    """Set aside the checkpoints after `step`, which an attempt that starts there takes back; return where they went."""
    later = [path for path in RunDir(run_path).checkpoints if _step_of(path) > step]
    return [set_aside(path) for path in later]


def set_aside(path: Path) -> Path:
    """Rename a file or directory to a free name `<name>.old-<n>`, which is no checkpoint's, and return that."""
    number = 1
    while os.path.lexists(target := path.with_name(f"{path.name}.old-{number}")):
        number += 1
    path.rename(target)
    sync_dir(path.parent)
    return target


def sweep(run_path: Path) -> list[Path]:
    """Remove the half-written and half-deleted checkpoints of dead engines; call it while holding the run's lock."""
    ours = [path for path in run_path.iterdir() if path.name.startswith((_TEMPORARY, _TRASH))]
    left = [path for path in ours if path.is_dir() and not path.is_symlink()]
    for path in left:
        shutil.rmtree(path, ignore_errors=True)
    return left


def discard(path: Path) -> None:
    """Delete a directory of ours so that a crash in the middle leaves nothing that looks whole."""
    trash = path.with_name(f"{_TRASH}{path.name.lstrip('.')}-{secrets.token_hex(3)}")
    path.rename(trash)
    sync_dir(path.parent)
    shutil.rmtree(trash, ignore_errors=True)


def free_space(path: Path) -> int:
    """Return the bytes that may still be written where `path` is or will be."""
    while not path.exists():
        path = path.parent
    return shutil.disk_usage(path).free


def room_for(path: Path, size: int) -> bool:
    """Tell whether `size` bytes fit where `path` is or will be, with a little left for the journal."""
    return free_space(path) >= size + SPARE_BYTES


def _step_of(path: Path) -> int:
    match = CHECKPOINT.fullmatch(path.name)
    return int(match[1]) if match else 0


def _number(value: object, default: int) -> int:
    return value if isinstance(value, int) else default
