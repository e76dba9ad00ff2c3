"""Fixtures of the stages' tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.engine.given import data_folder, model_folder
from tests.stages.judged import judged_rows


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny models are fastest on one thread, also on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with a tiny model and data sets for it: `rows`, `texts`, `pairs` and `votes`."""
    model_folder(tmp_path)
    data_folder(tmp_path)
    judged_rows(tmp_path)
    return tmp_path
