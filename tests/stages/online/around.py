"""A tiny model with its path and template, as a stage sees the run around it, without a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from tests.tiny import tiny_model, tiny_tokenizer
from tuitune.data import Example
from tuitune.data.templates import choose
from tuitune.models import paths
from tuitune.models.generate import Sampling
from tuitune.models.paths import PaddedPath
from tuitune.recipe import Recipe
from tuitune.stages.base import Surroundings

PROMPTS = ("Name three fruits", "a river", "what is two plus three and why is it so")


@dataclass
class Said:
    """What a stage told the run."""

    events: list[Any] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)


def recipe(**more: Any) -> Recipe:
    """Return an online recipe of the tiny model; nothing of it is read from disk."""
    least = {"model_name_or_path": "tiny", "dataset": "rows", "stage": "ppo", "reward_functions": "length"}
    return Recipe.of(least | more)


def around(
    model: Any = None,
    *,
    padded: bool = False,
    tokens: int = 400,
    attend: Callable[[], None] = lambda: None,
    sampling: Sampling | None = None,
    **more: Any,
) -> tuple[Surroundings, Said]:
    """Return the surroundings of a model (a tiny one) and what is said there."""
    model = tiny_model().train() if model is None else model
    asked = recipe(**more)
    tokenizer, said = tiny_tokenizer(), Said()
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    path, _ = paths.choose(base, longest=200, pad=0, dropout=False, autocast=None)
    if padded:
        path = PaddedPath(paths.Head(None, None), torch.device("cpu"), 0)
    made = Surroundings(
        model, path, tokenizer, choose(None, tokenizer, None), asked,
        sampling or Sampling(max_new_tokens=8, seed=asked.seed), Path("/nowhere"), lambda: tokens, attend,
        emit=said.events.append, note=said.noted.append, warn=lambda text, hint="": said.warned.append(text),
    )  # fmt: skip
    return made, said


def prompts(around: Surroundings, texts: tuple[str, ...] = PROMPTS) -> list[Example]:
    """Return prompts as the data has them."""
    found = []
    for index, text in enumerate(texts):
        opening = f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
        ids = around.tokenizer(opening, add_special_tokens=False)["input_ids"]
        found.append(Example(({"input_ids": ids, "labels": [-100] * len(ids)},), index, columns={"answer": text}))
    return found
