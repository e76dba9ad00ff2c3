"""Fixtures of the commands' tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.engine.given import data_folder, model_folder, recipe_text
from tuitune.cli.main import main

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, which is also the current directory's neighbour."""
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("TUITUNE_DEBUG", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "home"


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    """Run a command in this process; return exit code, standard output and standard error.

    They are read at the descriptors, where commands that keep libraries off them write too.
    """

    def work(*arguments: str) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main(arguments)
        out, err = capfd.readouterr()
        return code, out, err

    return work


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a tiny model, rows, and a recipe with relative paths that would train for a long time."""
    model_folder(tmp_path)
    data_folder(tmp_path)
    text = recipe_text(tmp_path, max_steps=100_000, dataset_dir="data", model_name_or_path="./tiny")
    (tmp_path / "recipe.yaml").write_text(text)
    return tmp_path
