"""The embedded model, SmolLM2-135M: ten steps of each method on a few short rows, and a word with the result.

Run with `-m slow` (CPU) or `-m gpu`; `-rP` shows seconds per step and the highest memory.
"""

from __future__ import annotations

import itertools
import resource
import statistics
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.given import journal, losses, recipe_text
from tests.methods.cycle import falls
from tuitune.chat.base import Turn
from tuitune.chat.local import LocalChat
from tuitune.chat.weights import of_run
from tuitune.engine.run import run
from tuitune.recipe import load
from tuitune.run import events
from tuitune.run.directory import RunDir

FULL = {"finetuning_type": "full", "learning_rate": 2e-5}
METHODS: dict[str, dict[str, Any]] = {
    "lora": {},
    "dora": {"use_dora": True},
    "pissa": {"pissa_init": True, "pissa_iter": 4, "learning_rate": 2e-4},
    "rslora": {"use_rslora": True, "lora_rank": 32, "lora_alpha": 16},
    "lora+": {"loraplus_lr_ratio": 8.0, "learning_rate": 2e-4},
    "qlora": {"quantization_bit": 4},
    "freeze": {"finetuning_type": "freeze", "freeze_trainable_layers": 4, "learning_rate": 1e-4},
    "full": FULL,
    "galore": {**FULL, "use_galore": True, "galore_rank": 64, "learning_rate": 1e-3},
    "badam": {**FULL, "use_badam": True, "badam_switch_interval": 3, "learning_rate": 1e-4},
}


def _trained(root: Path, method: str, **more: Any) -> RunDir:
    """Train on eight rows of the identity data, two in a step."""
    text = recipe_text(
        root, model_name_or_path="smollm2-135m", dataset="identity", name="Ada", author="Bo", max_samples=8,
        cutoff_len=64, per_device_train_batch_size=2, gradient_accumulation_steps=1, max_grad_norm=1.0,
        warmup_steps=0, lr_scheduler_type="constant", tokens_per_batch=None,
        **{"learning_rate": 1e-3, **METHODS[method], **more},
    )  # fmt: skip
    made = RunDir.create(root / method, text)
    ended = run(made)
    assert ended.status == "finished", journal(made, events.RunFailed)
    return made


def _tell(made: RunDir, device: str) -> None:
    """Print seconds per step (the median, without the first two) and the highest memory."""
    times = [event.t for event in journal(made, events.StepLogged)]
    seconds = statistics.median(b - a for a, b in itertools.pairwise(times[1:]))
    # Of a GPU the run's own, of a CPU the process's: it never falls, so that only the first test's means much.
    peak = torch.cuda.max_memory_allocated() if device != "cpu" else 1024 * resource.getrusage(resource.RUSAGE_SELF)[2]
    first, *_, last = (loss for loss, _ in losses(made).values())
    print(f"{made.name}: {seconds:.3f} s per step, {peak / 2**20:.0f} MiB, loss {first:.3f} to {last:.3f}")


def _answers(made: RunDir) -> str:
    chat = LocalChat.load(of_run(made, load(made.recipe)))
    answer = chat.reply([Turn("user", "Who are you?")], sampling={"max_new_tokens": 12, "temperature": 0.0})
    assert answer.tokens > 0
    return answer.text


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_ten_steps_on_a_cpu(tmp_path: Path, method: str) -> None:
    made = _trained(tmp_path, method)
    _tell(made, "cpu")
    assert falls(made), losses(made)
    assert _answers(made).strip()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("method", METHODS)
def test_ten_steps_on_a_gpu(tmp_path: Path, method: str) -> None:
    torch.cuda.reset_peak_memory_stats()
    more = {"pure_bf16": True} if method == "badam" else {"bf16": True}
    made = _trained(tmp_path, method, device="cuda:0", **more)
    _tell(made, "cuda:0")
    assert falls(made), losses(made)
    assert _answers(made).strip()
