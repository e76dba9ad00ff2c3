"""A tiny model and rows to train and export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.engine.given import data_folder, model_folder
from tuitune.chat.weights import Weights
from tuitune.export.order import Order
from tuitune.export.pipeline import Exported, export


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with the tiny model (4 layers) and 40 rows."""
    model_folder(tmp_path, num_hidden_layers=4)
    data_folder(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, beside what it writes."""
    folder = tmp_path.parent / f"{tmp_path.name}-home"
    monkeypatch.setenv("TUITUNE_HOME", str(folder))
    return folder


def write(weights: Weights, out: Path, **more: Any) -> Exported:
    """Export without card and Modelfile unless they are asked for."""
    told = {name: more.pop(name) for name in ("note", "progress") if name in more}
    return export(Order(weights, out, **({"card": False, "ollama": False} | more)), **told)
