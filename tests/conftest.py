"""What holds for all tests: no network, no user's folders, the same examples every time, and no hurry."""

from __future__ import annotations

import contextlib
import gc
import itertools
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from hypothesis import HealthCheck, settings
from platformdirs import user_cache_path

# Set HYPOTHESIS_PROFILE=search to look for new examples; a check that decides what lands must not depend on luck.
# A machine that stalls for half a minute makes no example too slow either.
_PATIENT = [HealthCheck.too_slow]
settings.register_profile("fixed", derandomize=True, deadline=None, suppress_health_check=_PATIENT)
settings.register_profile("search", max_examples=2_000, deadline=None, suppress_health_check=_PATIENT)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))

# What whoever started the tests has chosen stays.
_GIVEN = {name for name in ("TUITUNE_HOME", "TUITUNE_CACHE") if name in os.environ}


# What a script starts with `&` ignores ctrl+c, under nohup hangups too; so would all that the tests start. Not every
# worker is in the main thread; there it holds what the parent has.
for _number, _usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    with contextlib.suppress(ValueError):
        if signal.getsignal(_number) is signal.SIG_IGN:
            signal.signal(_number, _usual)


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


@pytest.fixture(scope="session", autouse=True)
def home_of_all(new_folder: Callable[[], Path]) -> Iterator[None]:
    """What is made once for a file or a folder of tests is made outside of any test: it keeps off the user's too."""
    with pytest.MonkeyPatch.context() as patch:
        _set_places(patch, new_folder)
        for name in ("NO_PROXY", "no_proxy"):  # what the tests serve is on this machine
            patch.setenv(name, "127.0.0.1,localhost")
        yield
        if "TUITUNE_HOME" not in _GIVEN:
            _end_jobs(Path(os.environ["TUITUNE_HOME"]) / "jobs")


@pytest.fixture(autouse=True)
def own_home(new_folder: Callable[[], Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep runs and settings of tests out of the user's own; models already converted are used where they lie.

    Jobs outlive whoever began them, also a test that fails: they are ended here.
    """
    before = os.environ.get("TUITUNE_HOME")
    _set_places(monkeypatch, new_folder)
    _let_signals_through()
    yield
    home = os.environ.get("TUITUNE_HOME")
    if home and home != before:
        _end_jobs(Path(home) / "jobs")


def _set_places(patch: pytest.MonkeyPatch, new_folder: Callable[[], Path]) -> None:
    if "TUITUNE_HOME" not in _GIVEN:
        patch.setenv("TUITUNE_HOME", str(new_folder()))
    if "TUITUNE_CACHE" not in _GIVEN:
        patch.setenv("TUITUNE_CACHE", str(_own_cache(new_folder())))
    patch.setenv("HF_HUB_OFFLINE", "1")


def _let_signals_through() -> None:
    """Take out what hypothesis hangs into the garbage collection: a KeyboardInterrupt that comes in there is lost."""
    gc.callbacks[:] = [each for each in gc.callbacks if not _is_of_hypothesis(each)]


def _is_of_hypothesis(callback: object) -> bool:
    return str(getattr(callback, "__module__", "")).startswith("hypothesis")


def _end_jobs(folder: Path) -> None:
    for file in folder.glob("*/job.json"):
        with contextlib.suppress(psutil.Error, OSError):  # it has ended, or its folder is gone by now
            process = psutil.Process(json.loads(file.read_bytes())["pid"])
            if process.create_time() <= file.stat().st_mtime + 2:  # no other process that has the number now
                process.kill()


def _own_cache(folder: Path) -> Path:
    """Let a cache share models and their hashes with the user's own, and nothing else."""
    for name in ("models", "hashes"):
        real = user_cache_path("tuitune") / name
        real.mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(real)
    return folder
