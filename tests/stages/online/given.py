"""Answers to judge and learn from without a run: a tiny model with an adapter, prompts, answers, rewards."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch

from tests.tiny import tiny_model
from tuitune.data import Example
from tuitune.models.reference import Itself
from tuitune.stages.online.answer import Answer

PROMPTS = [[7, 8, 9, 10, 11, 12], [30, 31], [40, 41, 42, 43]]
MOST = 9  # tokens of an answer
END = 2


def adapted(seed: int = 0, *, double: bool = False, **config: Any) -> Any:
    """Return the tiny model with a LoRA adapter that is not zero."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(seed)
    made: Any = get_peft_model(
        tiny_model(**config), LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    )
    made = made.double() if double else made
    move(made, seed, 0.15)
    return made


@torch.no_grad()
def move(model: Any, seed: int, by: float) -> None:
    """Change the adapter's weights at random."""
    draw = torch.Generator().manual_seed(seed)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter += by * torch.randn(parameter.shape, generator=draw).to(parameter)


def given_answers(count: int, seed: int = 3, prompts: Sequence[Sequence[int]] = PROMPTS) -> list[Answer]:
    """Return `count` answers of unequal length to each prompt; most of them end."""
    draw = random.Random(seed)
    out = []
    for prompt in prompts:
        for _ in range(count):
            ids = [draw.randint(5, 450) for _ in range(draw.randint(1, MOST - 1))]
            ended = draw.random() < 0.8
            out.append(Answer(prompt, [*ids, END] if ended else ids, "Why?", f"so {len(ids)}", ended, {}))
    return out


def given_rewards(count: int, seed: int = 5, *, silent: Sequence[int] = ()) -> list[float]:
    """Return rewards, NaN at the places that are silent."""
    draw = random.Random(seed)
    return [math.nan if i in silent else draw.gauss(0, 1) for i in range(count)]


def prompts_of(prompts: Sequence[Sequence[int]] = PROMPTS) -> list[Example]:
    """Return the prompts as examples of the data."""
    return [Example.of(ids, [-100] * len(ids)) for ids in prompts]


def reference_of(model: Any) -> Itself:
    """Return the model without its adapter."""
    return Itself(lambda each: each.disable_adapter(), nullcontext)
