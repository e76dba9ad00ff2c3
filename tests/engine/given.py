"""A tiny model on disk, some rows, and a recipe that trains it in a second or two."""

from __future__ import annotations

import functools
import json
import random
import tempfile
from pathlib import Path
from typing import Any

import torch

from tests.tiny import tiny_model, tiny_tokenizer
from tuitune.recipe.yamltext import dump
from tuitune.run import events
from tuitune.run.directory import RunDir
from tuitune.run.journal import JournalReader

WORDS = [
    "the",
    "river",
    "runs",
    "through",
    "a",
    "small",
    "town",
    "where",
    "people",
    "name",
    "fruits",
    "and",
    "questions",
]


def model_folder(root: Path, **config: Any) -> Path:
    """Save the tiny model and its tokenizer below `root`."""
    folder = root / "tiny"
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in _model_files(json.dumps(config, sort_keys=True)).items():
        (folder / name).write_bytes(content)
    return folder


@functools.cache
def _model_files(config: str) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as folder:
        tiny_model(**json.loads(config)).save_pretrained(folder)
        tiny_tokenizer().save_pretrained(folder)
        return {file.name: file.read_bytes() for file in Path(folder).iterdir()}


def data_folder(root: Path, count: int = 40, seed: int = 0) -> Path:
    """Write `count` alpaca rows of very different lengths and a dataset_info.json."""
    draw = random.Random(seed)
    folder = root / "data"
    folder.mkdir()
    some = [
        {
            "instruction": " ".join(draw.choices(WORDS, k=draw.randint(1, 30))),
            "output": " ".join(draw.choices(WORDS, k=draw.randint(1, 50))),
        }
        for _ in range(count)
    ]
    (folder / "rows.json").write_text(json.dumps(some))
    (folder / "dataset_info.json").write_text(json.dumps({"rows": {"file_name": "rows.json"}}))
    return folder


def recipe_text(root: Path, **more: Any) -> str:
    """Return a LoRA recipe of 10 steps with a schedule, accumulation and clipping; `more` overrides."""
    values: dict[str, Any] = {
        "model_name_or_path": str(root / "tiny"),
        "dataset": "rows",
        "dataset_dir": str(root / "data"),
        "cutoff_len": 96,
        "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2,
        "learning_rate": 5.0e-3,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 2,
        "max_steps": 10,
        "logging_steps": 1,
        "save_strategy": "no",
        "max_grad_norm": 0.5,
        "device": "cpu",
        "threads": 1,
        "tokens_per_batch": 160,
        "max_new_tokens": 8,
    } | more
    return "".join(f"{key}: {dump(value)}\n" for key, value in values.items())


def start(root: Path, name: str = "run", **more: Any) -> RunDir:
    """Make a run directory for the recipe."""
    return RunDir.create(root / name, recipe_text(root, **more))


def journal(run: RunDir, kind: type[events.Event] = events.Event) -> list[Any]:
    """Return the run's events of one kind, in order."""
    return [event for event in JournalReader(run.events).read() if isinstance(event, kind)]


def losses(run: RunDir) -> dict[int, tuple[float, float | None]]:
    """Return loss and gradient norm by step; a later attempt counts."""
    return {event.step: (event.loss, event.grad_norm) for event in journal(run, events.StepLogged)}


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """Return the saved tensors of a final folder or checkpoint."""
    from safetensors.torch import load_file

    file = next(p for p in (folder / "adapter_model.safetensors", folder / "model.safetensors") if p.is_file())
    return load_file(file)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Whether two sets of tensors are equal in every bit."""
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)
