"""What the tests of this room share: options as a recipe would give them, and data folders written on the spot."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Given:
    """The attributes of a recipe that `tuitune.data` reads."""

    dataset: str | Sequence[str] | None = "rows"
    eval_dataset: str | Sequence[str] | None = None
    dataset_dir: str = "data"
    template: str | None = None
    default_system: str | None = None
    cutoff_len: int = 256
    train_on_prompt: bool = False
    mask_history: bool = False
    max_samples: int | None = None
    val_size: float = 0.0
    seed: int = 42
    name: str | None = "Ada"
    author: str | None = "the makers"
    stage: str = "sft"
    truncation: str = "proportional"
    packing: bool | None = None
    neat_packing: bool = False
    disable_shuffling: bool = False
    mix_strategy: str = "concat"
    interleave_probs: str | None = None
    streaming: bool = False
    buffer_size: int = 16384
    tool_format: str | None = None
    enable_thinking: bool | None = True
    preserve_thinking: bool = False
    media_dir: str | None = None
    tokenized_path: str | None = None
    overwrite_cache: bool = False
    root: Path = Path()

    def locate(self, value: str) -> Path:
        """Return a path below the test's own folder."""
        return self.root / value


def folder(root: Path, files: dict[str, object], catalog: object | None = None) -> Path:
    """Write `root/data` with these files; text and bytes go as they are, anything else as JSON."""
    data = root / "data"
    data.mkdir(exist_ok=True)
    if catalog is not None:
        files = {**files, "dataset_info.json": catalog}
    for name, content in files.items():
        if isinstance(content, str):
            content = content.encode()
        (data / name).write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return data


def alpaca(count: int) -> list[dict[str, Any]]:
    """Return rows that all differ."""
    return [{"instruction": f"Say {number}.", "input": "", "output": f"It is {number}."} for number in range(count)]


def trained_text(tokenizer: Any, row: dict[str, list[int]]) -> str:
    """Return the text of the labelled tokens."""
    return str(tokenizer.decode([label for label in row["labels"] if label != -100]))
