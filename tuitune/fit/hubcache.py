"""Models that the hub's library has already downloaded: its cache on disk, read without it.

Layout: models--<organisation>--<name>/refs/<revision> holds a commit; snapshots/<commit>/ holds links to the files.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tuitune.fit.files import read_text
from tuitune.fit.folders import is_model

_PREFIX = "models--"


def hub_home() -> Path:
    """Return the folder where the hub's library keeps its cache and its token."""
    home = os.environ.get("HF_HOME")
    if not home:
        home = os.path.join(os.environ.get("XDG_CACHE_HOME") or "~/.cache", "huggingface")
    return Path(os.path.expandvars(home)).expanduser()


def hub_cache() -> Path:
    """Return the hub's cache folder, by the environment variables that its library honours."""
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if value := os.environ.get(name):
            return Path(os.path.expandvars(value)).expanduser()
    return hub_home() / "hub"


def snapshot(cache_dir: Path, name: str, revision: str | None = None) -> Path | None:
    """Return the snapshot of the model `name` in one cache, None when it is not there or not whole."""
    repo = cache_dir / (_PREFIX + name.replace("/", "--"))
    wanted = revision or "main"
    if not _safe(wanted):
        return None
    commit = (read_text(repo / "refs" / wanted, 200) or "").strip()
    for candidate in (commit, wanted):
        folder = repo / "snapshots" / candidate
        if candidate and _safe(candidate) and is_model(folder):
            return folder
    return None


def cached_models(cache_dir: Path) -> Iterator[tuple[str, Path]]:
    """Yield name and snapshot of each whole model in one cache: the snapshot of `main`, else the newest."""
    try:
        repos = sorted(entry.name for entry in os.scandir(cache_dir) if entry.name.startswith(_PREFIX))
    except OSError:
        return
    for repo in repos:
        name = repo.removeprefix(_PREFIX).replace("--", "/", 1)
        folder = snapshot(cache_dir, name) or _newest(cache_dir / repo / "snapshots")
        if folder is not None:
            yield name, folder


def _newest(snapshots: Path) -> Path | None:
    try:
        folders = [p for p in snapshots.iterdir() if is_model(p)]
        return max(folders, key=lambda p: p.stat().st_mtime, default=None)
    except OSError:
        return None


def _safe(revision: str) -> bool:
    # A revision is part of a path here: "refs/pr/1" is a real one, "../.." is not.
    return not revision.startswith("/") and ".." not in revision.split("/")
