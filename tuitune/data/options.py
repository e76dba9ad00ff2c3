"""What this package reads of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol

from tuitune.errors import DataError

# What a stage needs of a row.
Kind = Literal["text", "answer", "pair", "label", "prompt"]
KINDS: dict[str, Kind] = {
    "pt": "text",
    "sft": "answer",
    "rm": "pair",
    "dpo": "pair",
    "orpo": "pair",
    "simpo": "pair",
    "kto": "label",
    "ppo": "prompt",
    "grpo": "prompt",
    "rloo": "prompt",
}

Progress = Callable[[str, int, int | None], None]
Check = Callable[[], None]


class DataOptions(Protocol):
    """The attributes of a recipe that decide what is trained on; `tuitune.recipe.Recipe` has all of them."""

    @property
    def dataset(self) -> str | Sequence[str] | None: ...
    @property
    def eval_dataset(self) -> str | Sequence[str] | None: ...
    @property
    def dataset_dir(self) -> str: ...
    @property
    def template(self) -> str | None: ...
    @property
    def default_system(self) -> str | None: ...
    @property
    def cutoff_len(self) -> int: ...
    @property
    def train_on_prompt(self) -> bool: ...
    @property
    def mask_history(self) -> bool: ...
    @property
    def max_samples(self) -> int | None: ...
    @property
    def val_size(self) -> float: ...
    @property
    def seed(self) -> int: ...
    @property
    def name(self) -> str | None: ...
    @property
    def author(self) -> str | None: ...
    @property
    def stage(self) -> str: ...
    @property
    def truncation(self) -> str: ...
    @property
    def packing(self) -> bool | None: ...
    @property
    def neat_packing(self) -> bool: ...
    @property
    def disable_shuffling(self) -> bool: ...
    @property
    def mix_strategy(self) -> str: ...
    @property
    def interleave_probs(self) -> str | None: ...
    @property
    def streaming(self) -> bool: ...
    @property
    def buffer_size(self) -> int: ...
    @property
    def tool_format(self) -> str | None: ...
    @property
    def enable_thinking(self) -> bool | None: ...
    @property
    def preserve_thinking(self) -> bool: ...
    @property
    def media_dir(self) -> str | None: ...
    @property
    def tokenized_path(self) -> str | None: ...
    @property
    def overwrite_cache(self) -> bool: ...
    def locate(self, value: str) -> Path: ...


def packs(options: DataOptions) -> bool:
    """Return whether several rows share an example: unless the recipe says otherwise, in pre-training alone."""
    kind = KINDS[options.stage]
    asked = True if options.neat_packing and kind == "answer" else options.packing
    return kind == "text" if asked is None else asked and kind in ("text", "answer")


def dataset_names(value: str | Sequence[str] | None, key: str) -> list[str]:
    """Return the names of data sets, given with commas or as a list; raises DataError for an empty or repeated one."""
    parts = (value.split(",") if value.strip() else []) if isinstance(value, str) else value or ()
    names = [part.strip() for part in parts]
    if "" in names:
        raise DataError(f"{key}: {value!r} has an empty name", "Write the data sets with one comma between them.")
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(f"{key} names {', '.join(twice)} twice", "Name every data set once.")
    return names
