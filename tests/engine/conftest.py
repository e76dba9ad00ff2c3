"""Fixtures of the engine's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.given import data_folder, model_folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a tiny model and rows to train it on."""
    model_folder(tmp_path)
    data_folder(tmp_path)
    return tmp_path
