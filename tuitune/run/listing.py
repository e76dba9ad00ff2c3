"""The list of a directory's files that is written last: MANIFEST.json, which vouches for them and for itself."""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path, PurePosixPath

import orjson

from tuitune.errors import RunError
from tuitune.run.packing import plain, restore

NAME = "MANIFEST.json"
FORMAT = 1
_CHUNK = 1 << 20
_MOST_BYTES = 64 << 20
_PACKAGES = ("tuitune", "torch", "transformers", "trl", "peft", "accelerate", "safetensors")


@dataclass(frozen=True, slots=True)
class Listed:
    """A file's size and its SHA-256 as hexadecimal digits."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What MANIFEST.json holds; `files` by relative name."""

    step: int
    attempt: int
    files: dict[str, Listed]
    versions: dict[str, str]
    meta: dict[str, object]


@dataclass(frozen=True, slots=True)
class _Body:
    step: int
    attempt: int
    files: dict[str, dict[str, object]]
    versions: dict[str, str]
    meta: dict[str, object]


def compose(files: Mapping[str, Listed], step: int, attempt: int, meta: Mapping[str, object]) -> bytes:
    """Return the text of a manifest."""
    listed = {name: {"bytes": file.bytes, "sha256": file.sha256} for name, file in files.items()}
    body = {
        "format": FORMAT,
        "step": step,
        "attempt": attempt,
        "files": listed,
        "versions": versions(),
        "meta": plain(dict(meta)),
    }
    return orjson.dumps({**body, "digest": _digest(body)}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def read(directory: Path) -> Manifest:
    """Return the manifest of a directory; raises ValueError that says what is wrong, OSError when it is unreadable."""
    path = directory / NAME
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
        raise ValueError(f"{NAME} is not a small regular file")
    try:
        body = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise ValueError(f"{NAME} is not JSON") from error
    if not isinstance(body, dict) or body.pop("digest", None) != _digest(body):
        raise ValueError(f"{NAME} was changed after it was written")
    if body.get("format") != FORMAT:
        raise ValueError(f"{NAME} has format {body.get('format')}, this TuiTune reads {FORMAT}")
    whole = restore(_Body, body)
    files = {_safe(name): restore(Listed, entry) for name, entry in whole.files.items()}
    return Manifest(whole.step, whole.attempt, files, whole.versions, whole.meta)


@cache
def versions() -> dict[str, str]:
    """Return the installed versions of what writes checkpoints."""
    found = {}
    for package in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[package] = metadata.version(package)
    return found


def measure(path: Path) -> Listed:
    """Read a file to its end and return its size and hash."""
    digest, size = hashlib.sha256(), 0
    buffer = memoryview(bytearray(_CHUNK))
    with path.open("rb", buffering=0) as stream:
        while count := stream.readinto(buffer):
            digest.update(buffer[:count])
            size += count
    return Listed(size, digest.hexdigest())


def file_names(directory: Path) -> list[str]:
    """Return the relative names of the files below `directory` but the manifest, sorted.

    Raises RunError for a link or a special file, OSError for a folder that cannot be read.
    """
    names = []
    for root, folders, files in os.walk(directory, onerror=_raise):
        for path in (Path(root, entry) for entry in [*folders, *files]):
            mode = path.lstat().st_mode
            if stat.S_ISREG(mode):
                names.append(path.relative_to(directory).as_posix())
            elif not stat.S_ISDIR(mode):
                raise RunError(f"{path} is a link or a special file, which a checkpoint may not hold")
    return sorted(name for name in names if name != NAME)


def _raise(error: OSError) -> None:
    raise error


def _digest(body: Mapping[str, object]) -> str:
    return hashlib.sha256(orjson.dumps(body, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _safe(name: str) -> str:
    pure = PurePosixPath(name)
    if pure.is_absolute() or not pure.parts or ".." in pure.parts or "\0" in name or str(pure) != name or name == NAME:
        raise ValueError(f"{NAME} names {name!r:.100}, which no checkpoint may hold")
    return name
