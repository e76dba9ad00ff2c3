"""Output folders as LLaMA-Factory and transformers leave them."""

from __future__ import annotations

import json
import math
import os
from datetime import timedelta
from pathlib import Path

YAML = """\
bf16: true
cutoff_len: 2048
dataset: identity,alpaca_en_demo
dataset_dir: data
do_train: true
finetuning_type: lora
gradient_accumulation_steps: 8
hf_hub_token: hf_verysecret
learning_rate: 0.0001
lora_rank: 8
lora_target: all
model_name_or_path: Qwen/Qwen2.5-0.5B-Instruct
num_train_epochs: 3.0
output_dir: saves/Qwen/lora/train_1
per_device_train_batch_size: 2
report_to: none
stage: sft
template: qwen
trust_remote_code: true
use_unsloth: true
"""
ENDED = 1_750_000_000.0


def loss_at(step: int) -> float:
    return round(2 * math.exp(-step / 90) + 0.4, 4)


def log_row(step: int, elapsed: float, *, total: int = 300, **more: float) -> dict[str, object]:
    """A line of trainer_log.jsonl (train/callbacks.py, LogCallback.on_log)."""
    return {
        "current_steps": step, "total_steps": total, **more, "epoch": round(step / 100, 2),
        "percentage": round(step / total * 100, 2), "elapsed_time": str(timedelta(seconds=int(elapsed))),
        "remaining_time": "0:00:10",
    }  # fmt: skip


def log_rows() -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for step in range(10, 301, 10):
        rows.append(log_row(step, step * 2, loss=loss_at(step), lr=1e-4 * (1 - step / 300), total_tokens=step * 4096))
        if step % 100 == 0:
            rows.append(log_row(step, step * 2 + 1, eval_loss=loss_at(step) + 0.02))
    rows.append(log_row(300, 605))
    return rows


def history() -> list[dict[str, object]]:
    """The Trainer's log_history of the same training."""
    found: list[dict[str, object]] = []
    for step in range(10, 301, 10):
        row = {"epoch": step / 100, "grad_norm": 0.7, "learning_rate": 1e-4, "loss": loss_at(step), "step": step}
        found.append({**row, "rewards/margins": step / 10})
        if step % 100 == 0:
            found.append({"epoch": step / 100, "eval_loss": loss_at(step) + 0.02, "eval_runtime": 1.9,
                          "eval_samples_per_second": 5.0, "eval_rewards/accuracies": 0.8, "step": step})  # fmt: skip
    summary = {"epoch": 3.0, "step": 300, "total_flos": 1e15, "train_loss": 0.8, "train_runtime": 600.0}
    return [*found, summary]


def state(**more: object) -> dict[str, object]:
    return {"global_step": 300, "max_steps": 300, "log_history": history(), "num_train_epochs": 3, "save_steps": 100,
            "logging_steps": 10, "best_model_checkpoint": "saves/x/checkpoint-200", **more}  # fmt: skip


def put(folder: Path, name: str, value: object) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".jsonl"):
        assert isinstance(value, list)
        path.write_text("".join(json.dumps(row) + "\n" for row in value))
    else:
        path.write_text(value if isinstance(value, str) else json.dumps(value))
    os.utime(path, (ENDED, ENDED))
    return path


def adapter(folder: Path) -> None:
    put(folder, "adapter_config.json", {"base_model_name_or_path": "Qwen/Qwen2.5-0.5B-Instruct", "peft_type": "LORA",
                                        "r": 8, "lora_alpha": 16, "target_modules": ["v_proj", "q_proj"]})  # fmt: skip
    put(folder, "adapter_model.safetensors", "weights")


def factory(root: Path, name: str = "saves/Qwen/lora/train_1") -> Path:
    """What LLaMA-Factory leaves of a LoRA training of 300 steps that was started from LlamaBoard in `root`."""
    folder = root / name
    put(folder, "trainer_log.jsonl", log_rows())
    put(folder, "trainer_state.json", state())
    put(folder, "all_results.json", {"epoch": 3.0, "train_loss": 0.8, "train_runtime": 600.0})
    put(folder, "training_args.yaml", YAML)
    adapter(folder)
    for step in (100, 200, 300):
        adapter(folder / f"checkpoint-{step}")
    return folder


def plain(root: Path, name: str = "output") -> Path:
    """What transformers' own Trainer leaves: no log but its state, and a model card."""
    folder = root / "mine" / name
    put(folder, "checkpoint-300/trainer_state.json", state(max_steps=400))
    put(folder, "checkpoint-300/model.safetensors", "weights")
    put(folder, "checkpoint-300/config.json", {"_name_or_path": "org/base", "model_type": "llama"})
    card = (
        "---\nbase_model: org/base\n---\nThis model is a fine-tuned version of [base](https://x) on the identity "
        "and the alpaca datasets.\n\n- learning_rate: 5e-05\n- train_batch_size: 4\n- seed: 7\n- optimizer: Use X\n"
    )
    put(folder, "README.md", card)
    return folder
