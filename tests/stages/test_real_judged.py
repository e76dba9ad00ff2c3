"""SmolLM2-135M on real rows: five steps of pt, sft, rm and kto. Skipped where the data is not there."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.given import journal, recipe_text
from tuitune.chat.base import Turn
from tuitune.chat.local import LocalChat
from tuitune.chat.weights import of_run
from tuitune.engine.run import run
from tuitune.models.load import load_model
from tuitune.recipe import load
from tuitune.run import events
from tuitune.run.directory import RunDir

DATA = Path(os.environ.get("TUITUNE_REAL_DATA", Path(__file__).parents[3] / "shared" / "data" / "real"))
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (DATA / "dataset_info.json").is_file(), reason="TUITUNE_REAL_DATA names no data"),
]


def trained(root: Path, stage: str, dataset: str, **more: Any) -> RunDir:
    """Train five steps, of two rows each if `more` says no other number, and evaluate."""
    text = recipe_text(
        root, model_name_or_path="smollm2-135m", stage=stage, dataset=dataset, dataset_dir=str(DATA), max_samples=16,
        val_size=4, eval_strategy="steps", eval_steps=5, max_steps=5, max_grad_norm=1.0, warmup_steps=0,
        gradient_accumulation_steps=1, tokens_per_batch=None, threads=1,
        **{"learning_rate": 5e-4, "cutoff_len": 96, "per_device_train_batch_size": 2} | more,
    )  # fmt: skip
    made = RunDir.create(root / stage, text)
    assert run(made).status == "finished", journal(made, events.RunFailed)
    assert len(journal(made, events.StepLogged)) == 5
    return made


def test_pre_training(tmp_path: Path) -> None:
    made = trained(tmp_path, "pt", "c4_demo", packing=None)
    found = [event.loss for event in journal(made, events.StepLogged)]
    assert all(2 < loss < 5 for loss in found)  # SmolLM2 knows such text


@pytest.mark.parametrize("dataset", ["alpaca_en_demo", "glaive_toolcall_en_demo"])
def test_answers_and_calls_of_tools(dataset: str, tmp_path: Path) -> None:
    made = trained(tmp_path, "sft", dataset, cutoff_len=256)
    found = [event.loss for event in journal(made, events.StepLogged)]
    assert all(0 < loss < 4 for loss in found)
    assert journal(made, events.EvalLogged)[0].loss < 4


def test_rows_with_images_are_read_and_their_images_found() -> None:
    from tests.data.given import Given
    from tuitune.data.sources import open_sources

    options = Given(dataset="mllm_demo", dataset_dir=str(DATA), root=Path("/"))
    (source,) = open_sources(["mllm_demo"], options, lambda stage, done, total: None, lambda: None)
    talks = [source.read(row) for row in source.rows]
    assert len(talks) == 6
    assert all(Path(image).is_file() for talk in talks for image in talk.images)
    assert all(len(talk.images) == sum(m.content.count("<image>") for m in talk.messages) > 0 for talk in talks)


def test_a_reward_model_and_a_talk_with_it(tmp_path: Path) -> None:
    made = trained(tmp_path, "rm", "dpo_en_demo", learning_rate=1e-3, per_device_train_batch_size=1)
    for step in journal(made, events.StepLogged):
        margin = step.metrics["rewards/margins"]  # of the step's only pair, so the loss follows from it
        assert step.loss == pytest.approx(math.log1p(math.exp(-margin)), rel=1e-4)
        assert step.metrics["rewards/accuracies"] == (margin > 0)
    assert "eval_rewards/accuracies" in journal(made, events.EvalLogged)[0].metrics
    chat = LocalChat.load(of_run(made, load(made.recipe)))
    asked = [Turn("user", "What is the capital of France?")]
    answer = chat.reply(asked, sampling={"temperature": 0, "max_new_tokens": 16})
    assert "Paris" in answer.text  # its base writes
    assert chat.judge is not None
    assert chat.judge.score([*asked, Turn("assistant", answer.text)]) != 0


def test_a_whole_reward_model_is_an_ordinary_model_with_a_head_beside_it(tmp_path: Path) -> None:
    made = trained(tmp_path, "rm", "dpo_en_demo", finetuning_type="full", learning_rate=1e-5)
    notes: list[str] = []
    load_model(made.final, dtype=torch.float32, device="cpu", attention="sdpa", note=notes.append)
    assert notes == []


def test_kto(tmp_path: Path) -> None:
    made = trained(tmp_path, "kto", "kto_en_demo")
    steps = journal(made, events.StepLogged)
    assert steps[0].loss == pytest.approx(0.5, abs=1e-6)
    assert steps[0].metrics["kl"] == pytest.approx(0, abs=1e-3)  # the same numbers but for rounding
    assert {"eval_kl", "eval_rewards/chosen"} <= journal(made, events.EvalLogged)[0].metrics.keys()
