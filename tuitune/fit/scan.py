"""The models on this machine, from heads of files only."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tuitune.errors import RunError
from tuitune.fit import embedded
from tuitune.fit.files import read_object, read_text, regular_size
from tuitune.fit.folders import is_model
from tuitune.fit.gguf import BadGguf, read_gguf
from tuitune.fit.hubcache import cached_models, hub_cache
from tuitune.fit.resolve import ModelKind
from tuitune.fit.safetensors import weight_files
from tuitune.fit.shapes import ModelShape
from tuitune.run.places import cache
from tuitune.text import clean_line

_DEEPEST = 3
_MOST_FOLDERS = 2000
_MOST_ENTRIES = 50_000
_MOST_MODELS = 500
_SKIPPED = {"node_modules", "__pycache__", "site-packages"}
_LICENCE = re.compile(r"^license:[ \t]*['\"]?([\w.+ -]{1,60}?)['\"]?[ \t]*$", re.MULTILINE)


@dataclass(frozen=True)
class ModelInfo:
    """A model as a list shows it, its words cleaned for a terminal; `path` is None for one not yet fetched."""

    name: str
    path: Path | None
    kind: ModelKind
    size_bytes: int | None = None
    architecture: str | None = None
    dtype: str | None = None
    parameters: int | None = None
    licence: str | None = None


def scan(cwd: Path | None = None, cache_dirs: Sequence[Path] | None = None) -> list[ModelInfo]:
    """List the models that are here: embedded, in the hub's caches, converted, and under `cwd` and $TUITUNE_MODELS."""
    found: dict[Path, ModelInfo] = {}
    for info in _all(cwd or Path.cwd(), cache_dirs if cache_dirs is not None else [hub_cache()]):
        key = info.path.resolve() if info.path is not None else Path(info.name)
        found.setdefault(key, info)
        if len(found) >= _MOST_MODELS:
            break
    return list(found.values())


def _all(cwd: Path, cache_dirs: Sequence[Path]) -> Iterator[ModelInfo]:
    # A cache of ours that cannot be used hides what is in it, and nothing else.
    with contextlib.suppress(RunError):
        yield _embedded()
    for folder in cache_dirs:
        for name, snapshot in cached_models(folder):
            yield _folder_info(name, snapshot, "cached")
    with contextlib.suppress(RunError):
        yield from _converted()
    extra = [Path(part).expanduser() for part in os.environ.get("TUITUNE_MODELS", "").split(os.pathsep) if part]
    for root in (cwd, *extra):
        for path in _walk(root):
            name = os.path.relpath(path, cwd) if path.is_relative_to(cwd) else str(path)
            yield _gguf_info(name, path) if path.suffix.lower() == ".gguf" else _folder_info(name, path, "local")


def _embedded() -> ModelInfo:
    folder = embedded.embedded_dir()
    if (folder / embedded.MARKER).is_file() and is_model(folder):
        info = _folder_info(embedded.NAME, folder, "embedded")
        return ModelInfo(**{**info.__dict__, "licence": embedded.LICENCE})
    file = embedded.installed_file()
    size = embedded.SIZE_BYTES if file is not None else embedded.WHEEL_SIZE_BYTES
    return ModelInfo(embedded.NAME, file, "embedded", size, "llama", "Q4_1", embedded.PARAMETERS, embedded.LICENCE)


def _converted() -> Iterator[ModelInfo]:
    """Yield GGUF files of the user's that were converted; they are listed even when the file itself is elsewhere."""
    for folder in _children(cache() / "models"):
        marker = read_object(folder / embedded.MARKER)
        source, current = marker.get("source"), marker.get("format") == embedded.CONVERSION
        if current and folder != embedded.embedded_dir() and isinstance(source, str) and is_model(folder):
            yield _folder_info(source, folder, "local")


def _folder_info(name: str, folder: Path, kind: ModelKind) -> ModelInfo:
    shape = ModelShape.read(folder)
    size = sum(regular_size(file) or 0 for file in weight_files(folder) or [])
    return ModelInfo(
        clean_line(name),
        folder,
        kind,
        size,
        _shown(shape.architecture),
        _shown(shape.dtype),
        shape.parameters,
        licence_of(folder),
    )


def _gguf_info(name: str, path: Path) -> ModelInfo:
    size = regular_size(path)
    try:
        header = read_gguf(path)
    except BadGguf:
        return ModelInfo(clean_line(name), path, "gguf", size)
    licence = header.metadata.get("general.license")
    return ModelInfo(
        clean_line(name),
        path,
        "gguf",
        size,
        _shown(header.architecture),
        header.dtype,
        header.parameters,
        _shown(licence) if isinstance(licence, str) else None,
    )


def licence_of(folder: Path) -> str | None:
    """Read the licence from the front matter of the model card, or from the configuration."""
    card = read_text(folder / "README.md", 2 << 20) or ""
    if card.startswith("---"):
        front = card[3:].split("\n---", 1)[0]
        if match := _LICENCE.search(front):
            return clean_line(match.group(1))
    value = read_object(folder / "config.json").get("license")
    return _shown(value) if isinstance(value, str) else None


def _walk(root: Path) -> Iterator[Path]:
    """Yield model folders and GGUF files below `root`."""
    for folder in folders_below(root):
        if is_model(folder):
            yield folder
        yield from (child for child in _children(folder) if child.suffix.lower() == ".gguf" and regular_size(child))


def folders_below(root: Path) -> Iterator[Path]:
    """Yield `root` and the folders below it: three levels deep, each real folder once, within bounds."""
    seen: set[tuple[int, int]] = set()
    queue, entries = [(root, 0)], 0
    while queue and len(seen) < _MOST_FOLDERS and entries < _MOST_ENTRIES:
        folder, depth = queue.pop(0)
        try:
            status = folder.stat()
        except OSError:
            continue
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        yield folder
        children = _children(folder)
        entries += len(children)
        if depth < _DEEPEST:
            queue += [(child, depth + 1) for child in children if _worth_entering(child)]


def _worth_entering(path: Path) -> bool:
    if path.name.startswith(".") or path.name in _SKIPPED:
        return False
    try:
        return path.is_dir()
    except OSError:
        return False


def _children(folder: Path) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            return sorted(Path(entry.path) for entry, _ in zip(entries, range(_MOST_ENTRIES), strict=False))
    except OSError:
        return []


def _shown(text: str | None) -> str | None:
    return clean_line(text)[:60] if text else None
