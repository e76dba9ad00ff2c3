"""GGUF files converted once into the cache, keyed by what they contain."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

from tuitune import amounts
from tuitune.errors import ModelError
from tuitune.fit.embedded import CONVERSION, MARKER, converted_dir
from tuitune.fit.files import read_object, regular_size
from tuitune.fit.gguf import BadGguf, read_gguf
from tuitune.models.child import Check, Progress, run_task
from tuitune.models.hashing import file_sha256
from tuitune.models.locks import locked
from tuitune.run.files import write_atomic


def is_converted(folder: Path, sha256: str) -> bool:
    """Tell whether `folder` holds the whole conversion of the file with this hash."""
    # The marker is written last and lists the rest.
    marker = read_object(folder / MARKER)
    files = marker.get("files")
    if marker.get("format") != CONVERSION or marker.get("sha256") != sha256 or not isinstance(files, dict) or not files:
        return False
    return all(regular_size(folder / name) == size for name, size in files.items())


def convert_file(path: Path, *, progress: Progress, check: Check) -> Path:
    """Return a folder transformers can load, made from a GGUF file; made once, then found."""
    sha256 = file_sha256(path, progress=progress, check=check)
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", path.stem).strip("-.") or "model"
    return convert_known(path, stem[:64], sha256, progress=progress, check=check)


def convert_known(path: Path, stem: str, sha256: str, *, progress: Progress, check: Check) -> Path:
    """Convert the GGUF file `path`, whose hash the caller has verified, into `converted_dir(stem, sha256)`."""
    target = converted_dir(stem, sha256)
    if is_converted(target, sha256):
        return target
    with locked(target.with_name(f".{target.name}.lock"), progress=progress, check=check):
        if not is_converted(target, sha256):
            _build(path, target, sha256, progress, check)
    return target


def _build(path: Path, target: Path, sha256: str, progress: Progress, check: Check) -> None:
    _need_space(path, target.parent)
    # The lock is ours, so whatever an earlier attempt left half done is nobody's any more.
    for leftover in target.parent.glob(f".{target.name}.*.tmp"):
        shutil.rmtree(leftover, ignore_errors=True)
    building = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    building.mkdir(mode=0o700)
    try:
        run_task("convert", {"source": str(path.resolve()), "target": str(building)}, progress=progress, check=check)
        _mark(building, path, sha256)
        if target.exists():
            shutil.rmtree(target)
        building.rename(target)
    except OSError as error:
        raise ModelError(f"cannot write the converted model into {target.parent}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _mark(folder: Path, source: Path, sha256: str) -> None:
    files = {file.name: file.stat().st_size for file in sorted(folder.iterdir()) if file.is_file()}
    marker = {"format": CONVERSION, "sha256": sha256, "source": source.name, "files": files}
    write_atomic(folder / MARKER, json.dumps(marker, indent=1).encode(), sync=True)


def _need_space(path: Path, folder: Path) -> None:
    # De-quantised weights take 4 bytes each, several times the file: better said before than found out half way.
    try:
        parameters = read_gguf(path).parameters
    except BadGguf as error:
        raise ModelError(f"{path.name} is not a GGUF file that can be read: {error}") from error
    needed, free = 4 * parameters + (64 << 20), shutil.disk_usage(folder).free
    if free < needed:
        raise ModelError(
            f"{path.name} needs {amounts.size(needed)} when converted, and {folder} has {amounts.size(free)} free",
            "Free some space, or point TUITUNE_CACHE at a larger disk.",
        )
