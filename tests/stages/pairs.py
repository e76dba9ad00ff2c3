"""Pairs of answers made by hand, a stage with a reference over tiny models, and its loss and gradient."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tests.engine.given import recipe_text
from tests.stages.judged import CPU, row
from tests.tiny import tiny_model
from tuitune.data import Example
from tuitune.models import attention, paths
from tuitune.models.head import Head, HeadTap
from tuitune.models.reference import FrozenCopy
from tuitune.recipe import Document
from tuitune.stages.preference import Preference

_DRAW = random.Random(7)
LONG = [_DRAW.randrange(3, 500) for _ in range(90)]


def pair(prompt: list[int], chosen: list[int], rejected: list[int], index: int = 0) -> Example:
    """Return an example of two answers."""
    return Example((row(prompt, chosen), row(prompt, rejected)), index)


def pairs(count: int, seed: int = 0) -> list[Example]:
    """Return pairs of random tokens and very different lengths."""
    draw = random.Random(seed)

    def ids(least: int, most: int) -> list[int]:
        return [draw.randrange(3, 500) for _ in range(draw.randint(least, most))]

    return [pair(ids(1, 40), ids(1, 25), ids(1, 25), index) for index in range(count)]


CASES: dict[str, list[Example]] = {
    "pairs of all lengths": pairs(6),
    "a prompt of one token": [pair(LONG[:1], LONG[5:20], LONG[30:42])],
    "identical answers, beside a pair": [pair(LONG[:30], LONG[30:50], LONG[30:50]), *pairs(1, 3)],
    "answers that begin alike": [pair(LONG[:20], LONG[20:40], [*LONG[20:30], *LONG[60:70]])],
    "one answer is the beginning of the other": [pair(LONG[:20], LONG[20:50], LONG[20:31])],
    "answers of one token": [pair(LONG[:20], LONG[50:51], LONG[60:61]), *pairs(2, 4)],
    "nothing in common": [Example((row(LONG[:9], LONG[9:30]), row(LONG[40:50], LONG[50:70])))],
    "little in common": [Example((row(LONG[:1], LONG[9:60]), row(LONG[:1], LONG[30:80])))],
    "an answer was cut off entirely": [pair(LONG[:20], LONG[20:30], []), *pairs(2, 5)],
}


def recipe(tmp_path: Path, **more: Any) -> Any:
    """Return a recipe; `stage` is dpo unless said otherwise."""
    return Document.parse(recipe_text(tmp_path, **{"stage": "dpo"} | more)).recipe()


def preference(tmp_path: Path, dtype: torch.dtype = torch.float64, *, tap: bool = True, **more: Any) -> Preference:
    """Return the stage of a recipe; its reference is another random model."""
    made = Preference(recipe(tmp_path, **more))
    if made.needs_reference:
        attention.register()
        copy = tiny_model(seed=1, attn_implementation="tuitune").to(dtype)
        made.reference = FrozenCopy(copy, Head(HeadTap.on(copy) if tap else None, None), torch.no_grad)
    return made


def way(model: Any, kind: str, *, tap: bool = True) -> paths.Path:
    """Return the path "shared", "flat" or "padded" of a model, and set the attention that it needs."""
    attention.register()
    model.set_attn_implementation("sdpa" if kind == "padded" else "tuitune")
    head = Head(HeadTap.on(model) if tap else None, None)
    return paths.PaddedPath(head, CPU, 0) if kind == "padded" else paths.FlatPath(head, CPU, share=kind == "shared")


def gradient(model: Any) -> torch.Tensor:
    """Return all gradients as one vector, and forget them."""
    found = torch.cat([p.grad.flatten().double() for p in model.parameters() if p.grad is not None])
    model.zero_grad()
    return found


def learnt(
    stage: Preference, model: Any, path: paths.Path, parts: Sequence[Sequence[Example]]
) -> tuple[float, torch.Tensor]:
    """Return the mean loss of all pairs and its gradient, part by part."""
    items = stage.items([example for part in parts for example in part])
    stage.before_step([example for part in parts for example in part], 1)
    total = 0.0
    for part in parts:
        used = [example for example in part if stage.groups(example)]
        if not used:
            continue
        done = stage.part_loss(model, used, path)
        (done.loss / items).backward()
        total += float(done.loss.detach()) / items
    return total, gradient(model)


def far(a: torch.Tensor, b: torch.Tensor) -> float:
    """Return the relative difference of two vectors."""
    return float((a - b).norm() / b.norm().clamp(min=1e-30))
