"""The stages pt, sft, rm and kto with every kind of method: they learn, load again, and resume as if never stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.given import data_folder, journal, model_folder
from tests.methods.cycle import Ended, loaded_logits, resumes_exactly, train
from tests.stages.judged import judged_rows
from tuitune.models import valued
from tuitune.run import events

ROWS = {"pt": "texts", "sft": "rows", "rm": "pairs", "kto": "votes"}
METHODS: dict[str, dict[str, Any]] = {
    "full": {"finetuning_type": "full", "learning_rate": 1e-3},
    "freeze": {"finetuning_type": "freeze", "freeze_trainable_layers": 1, "learning_rate": 2e-3},
    "lora": {"lora_dropout": 0.1},
    "qlora": {"quantization_bit": 4},
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with the tiny model and rows of every kind."""
    model_folder(tmp_path)
    data_folder(tmp_path)
    judged_rows(tmp_path)
    return tmp_path


def asked(stage: str, method: str) -> dict[str, Any]:
    """Return what a recipe says for stage and method."""
    return {"stage": stage, "dataset": ROWS[stage], "template": "chatml", **METHODS[method]}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stage", ROWS)
def test_resumes_exactly(root: Path, stage: str, method: str) -> None:
    resumes_exactly(root, **asked(stage, method))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("stage", ROWS)
def test_what_is_saved_is_what_was_trained(
    root: Path, monkeypatch: pytest.MonkeyPatch, stage: str, method: str
) -> None:
    ended = Ended(monkeypatch)
    made = train(root, "run", **asked(stage, method), max_steps=4)
    assert float((loaded_logits(made) - ended.logits).abs().max()) <= 1e-5
    assert (made.final / valued.FILE).is_file() == (stage == "rm")
