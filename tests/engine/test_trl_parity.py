"""The same ids and labels through plain TRL: step by step the same losses, gradient norms and learning rates."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.engine.given import journal, start
from tuitune.engine.run import run
from tuitune.recipe import load
from tuitune.run import events

pytestmark = pytest.mark.slow
STEPS = 6


def test_a_run_on_the_embedded_model_equals_plain_trl(tmp_path: Path) -> None:
    from datasets import Dataset
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, DataCollatorForSeq2Seq, set_seed
    from trl import SFTConfig, SFTTrainer

    from tuitune.data import build
    from tuitune.fit.models import resolve
    from tuitune.models.load import load_tokenizer
    from tuitune.models.prepare import prepare

    it = start(
        tmp_path, model_name_or_path="smollm2-135m", dataset="identity", cutoff_len=256, learning_rate=1e-3,
        max_steps=STEPS, warmup_steps=1, max_grad_norm=1.0, tokens_per_batch=None, threads=None,
    )  # fmt: skip
    assert run(it).status == "finished"
    recipe = load(it.recipe)
    folder = prepare(resolve("smollm2-135m"))
    tokenizer = load_tokenizer(folder)
    rows = Dataset.from_list([dict(row) for row in build(recipe, tokenizer).train.rows])
    set_seed(recipe.seed)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM"))
    args = SFTConfig(
        output_dir=str(tmp_path / "trl"), per_device_train_batch_size=2, gradient_accumulation_steps=2,
        learning_rate=1e-3, lr_scheduler_type="cosine", warmup_steps=1, max_steps=STEPS, logging_steps=1, bf16=False,
        save_strategy="no", use_cpu=True, report_to=[], disable_tqdm=True, seed=recipe.seed, max_length=None,
        gradient_checkpointing=False, packing=False, dataset_kwargs={"skip_prepare_dataset": True},
    )  # fmt: skip
    trainer = SFTTrainer(
        model, args, train_dataset=rows, processing_class=tokenizer, data_collator=DataCollatorForSeq2Seq(tokenizer)
    )
    trainer.train()
    theirs = {e["step"]: e for e in trainer.state.log_history if "loss" in e}
    ours = {e.step: e for e in journal(it, events.StepLogged)}
    assert ours.keys() == theirs.keys()
    for step, mine in ours.items():
        assert mine.loss == pytest.approx(theirs[step]["loss"], rel=2e-5)
        assert mine.grad_norm == pytest.approx(theirs[step]["grad_norm"], rel=1e-3)
        assert mine.learning_rate == pytest.approx(theirs[step]["learning_rate"], rel=1e-9)
