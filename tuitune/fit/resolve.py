"""From a model's name in a recipe to where the model is."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tuitune.errors import ModelError
from tuitune.fit import embedded
from tuitune.fit.files import regular_size
from tuitune.fit.folders import folder_problem
from tuitune.fit.hubcache import cached_models, hub_cache, snapshot

ModelKind = Literal["embedded", "local", "gguf", "cached", "hub", "modelscope"]

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
_MODELSCOPE = "modelscope:"
_FORMS = (
    f"A model is: {embedded.NAME} (comes with TuiTune), a folder with config.json and safetensors, a .gguf file, "
    "organisation/name on the hub, or modelscope:organisation/name."
)


@dataclass(frozen=True)
class ModelSource:
    """Where a model is: a place on this machine (`path`), or a name to download from."""

    kind: ModelKind
    name: str
    path: Path | None = None
    revision: str | None = None


def resolve(
    name: str, *, search: Sequence[Path] = (), revision: str | None = None, cache_dir: str | Path | None = None
) -> ModelSource:
    """Find the model that `name` means: here, in a folder of `search`, in the hub's cache, or on the hub.

    Nothing is fetched. Raises ModelError when the name can mean nothing, or means something that is not a model.
    """
    name = name.strip()
    if not name or "\0" in name:
        raise ModelError("no model is named", _FORMS)
    if name.lower() == embedded.NAME:
        return ModelSource("embedded", embedded.NAME)
    if name.startswith(_MODELSCOPE):
        return _remote("modelscope", name.removeprefix(_MODELSCOPE), revision)
    local = _local(name, search)
    if local is not None:
        return local
    if os.environ.get("USE_MODELSCOPE_HUB", "").lower() in ("1", "true", "y"):
        return _remote("modelscope", name, revision)
    caches = [Path(cache_dir).expanduser()] if cache_dir else [hub_cache()]
    for cache in caches:
        folder = snapshot(cache, name, revision) if _is_cache_name(name) else None
        if folder is not None:
            return ModelSource("cached", name, folder, revision)
    return _remote("hub", name, revision, caches, search)


def _remote(
    kind: Literal["hub", "modelscope"],
    name: str,
    revision: str | None,
    caches: Sequence[Path] = (),
    search: Sequence[Path] = (),
) -> ModelSource:
    if not _HUB_NAME.fullmatch(name) or ".." in name or "--" in name or name.endswith((".git", ".gguf")):
        raise _unknown(name, caches, search)
    return ModelSource(kind, name, None, revision)


def _local(name: str, search: Sequence[Path]) -> ModelSource | None:
    try:
        given = Path(name).expanduser()
    except RuntimeError as error:
        raise ModelError(f"there is no such user's home: {name}", _FORMS) from error
    for place in (given, *(folder / given for folder in search if not given.is_absolute())):
        if place.suffix.lower() == ".gguf" and regular_size(place) is not None:
            return ModelSource("gguf", name, place)
        if regular_size(place) is not None:
            raise ModelError(
                f"{place} is a file, and no GGUF file", "Name the folder that holds config.json and the weights."
            )
        if not _is_dir(place):
            continue
        problem = folder_problem(place)
        if problem is not None and _HUB_NAME.fullmatch(name) and not _names(place):
            continue  # an empty folder that happens to be called like a model on the hub
        if problem is not None:
            raise ModelError(*problem)
        return ModelSource("local", name, place)
    return None


def _unknown(name: str, caches: Sequence[Path], search: Sequence[Path]) -> ModelError:
    known = [embedded.NAME, *(cached for cache in caches for cached, _ in cached_models(cache))]
    known += [entry.name for folder in (Path(), *search) for entry in _names(folder)
              if entry.suffix == ".gguf" or regular_size(entry / "config.json") is not None]  # fmt: skip
    # The last part decides: a wrong organisation is as common a slip as a wrong letter.
    by_end = {candidate.rsplit("/", 1)[-1].lower(): candidate for candidate in known}
    close = difflib.get_close_matches(name.rsplit("/", 1)[-1].lower(), list(by_end), n=3, cutoff=0.6)
    hint = f"Did you mean {' or '.join(by_end[end] for end in close)}? " if close else ""
    what = "no such file or folder" if _looks_like_path(name) else "no model of that name"
    return ModelError(f"{what}: {name}", hint + _FORMS)


def _looks_like_path(name: str) -> bool:
    return name.startswith((".", "/", "~")) or name.count("/") > 1 or name.endswith(".gguf")


def _is_cache_name(name: str) -> bool:
    # Old models have no organisation; both forms lie in the cache.
    return bool(_HUB_NAME.fullmatch(name)) or bool(re.fullmatch(r"[A-Za-z0-9][\w.-]*", name, re.ASCII))


def _names(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())[:1000]
    except OSError:
        return []


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # too long a name, or no permission on the way
        return False
