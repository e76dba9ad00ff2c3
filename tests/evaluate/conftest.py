"""A home of the tests' own."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.engine.given import data_folder, model_folder
from tests.evaluate.given import trained
from tests.stages.judged import judged_rows
from tuitune.run.directory import RunDir


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Runs and evaluations of a test lie in its own folder."""
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(scope="package")
def lora(tmp_path_factory: pytest.TempPathFactory) -> RunDir:
    """A run of the tiny model, trained once; nobody writes into it."""
    place = tmp_path_factory.mktemp("lora")
    model_folder(place)
    data_folder(place)
    return trained(place)


@pytest.fixture
def run(lora: RunDir, tmp_path: Path) -> RunDir:
    """A copy of that run; its model and data lie beside the original: `given.root_of`."""
    return RunDir(Path(shutil.copytree(lora.path, tmp_path / "run")))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with the tiny model and data sets for it: `rows`, `texts`, `pairs` and `votes`."""
    model_folder(tmp_path)
    data_folder(tmp_path)
    judged_rows(tmp_path)
    return tmp_path
