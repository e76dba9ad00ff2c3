"""Fixtures of the stages' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.engine.given import model_folder
from tests.stages.pairs import pairs_folder


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny models are fastest on one thread, also on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a tiny model and pairs of answers to train it on, the data set `pairs`."""
    model_folder(tmp_path)
    pairs_folder(tmp_path)
    return tmp_path
