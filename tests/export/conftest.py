"""A tiny model and rows to train and export."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.engine.given import data_folder, model_folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with the tiny model (4 layers) and 40 rows."""
    model_folder(tmp_path, num_hidden_layers=4)
    data_folder(tmp_path)
    return tmp_path
