"""What holds for all tests: no network, no user's folders, and the same examples every time."""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import settings
from platformdirs import user_cache_path

# Set HYPOTHESIS_PROFILE=search to look for new examples; a check that decides what lands must not depend on luck.
settings.register_profile("fixed", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=2_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))


def pytest_collection_finish() -> None:
    """Spare all modules and tests from garbage collection: every training ends with a look through all there is."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def new_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Make a new folder each time; `mktemp` looks at all earlier ones first, which is long after thousands of tests."""
    places, numbers = tmp_path_factory.mktemp("places"), itertools.count()

    def new() -> Path:
        folder = places / str(next(numbers))
        folder.mkdir(mode=0o700)
        return folder

    return new


@pytest.fixture(autouse=True)
def own_home(new_folder: Callable[[], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep runs and settings of tests out of the user's own; models already converted are used where they lie.

    Jobs outlive whoever began them, also a test that fails: they are ended here.
    """
    before = os.environ.get("TUITUNE_HOME")
    if "TUITUNE_HOME" not in os.environ:
        monkeypatch.setenv("TUITUNE_HOME", str(new_folder()))
    if "TUITUNE_CACHE" not in os.environ:
        monkeypatch.setenv("TUITUNE_CACHE", str(_own_cache(new_folder())))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    yield
    home = os.environ.get("TUITUNE_HOME")
    if home and home != before:
        _end_jobs(Path(home) / "jobs")


def _end_jobs(folder: Path) -> None:
    for file in folder.glob("*/job.json"):
        pid = json.loads(file.read_bytes())["pid"]
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            if process.create_time() <= file.stat().st_mtime + 2:  # no other process that has the number now
                process.kill()


def _own_cache(folder: Path) -> Path:
    """Let a cache share models and their hashes with the user's own, and nothing else."""
    for name in ("models", "hashes"):
        real = user_cache_path("tuitune") / name
        real.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(real)
    return folder
