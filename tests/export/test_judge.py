from __future__ import annotations

from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model

from tests.engine.given import model_folder
from tests.export.conftest import write
from tests.tiny import tiny_model
from tuitune.chat.weights import of_model
from tuitune.data import Message
from tuitune.models import valued
from tuitune.stages.scorer import Scorer

TALK = [Message("user", "Name three fruits."), Message("assistant", "an apple")]


def test_a_merged_reward_model_stays_one(tmp_path: Path) -> None:
    plain, adapter = model_folder(tmp_path), tmp_path / "adapter"
    torch.manual_seed(1)
    config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
    model = valued.attach(get_peft_model(tiny_model(), config))
    with valued.apart(model):
        model.save_pretrained(adapter)
    valued.save(model, adapter)
    done = write(of_model(str(plain), adapter), tmp_path / "merged", dtype="float32")
    scores = [
        Scorer.load(str(folder), adapters, device="cpu", dtype=torch.float32, template=None).score(TALK)
        for folder, adapters in ((plain, (adapter,)), (done.path, ()))
    ]
    assert scores[1] == pytest.approx(scores[0], abs=1e-4)
