"""A buffer of judged answers in a checkpoint, every number exactly as it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tuitune.data.rows import IGNORED
from tuitune.stages.online import buffer
from tuitune.stages.online.advantages import Running
from tuitune.stages.online.experience import Lesson, Numbers

if TYPE_CHECKING:
    from torch import Tensor

_TOKENS = ("logps", "values", "advantages", "returns")


@dataclass(frozen=True)
class Kept:
    """The lessons of a buffer, the optimizer step that it began with, and what outlives it.

    weight: of the KL penalty in the next buffer. running: of all scores.
    """

    first: int = 0
    lessons: tuple[Lesson, ...] = ()
    weight: float = 0.0
    running: Running = field(default_factory=Running)


def save(folder: Path, kept: Kept, rewards: dict[str, Any]) -> None:
    """Write it into a checkpoint, with the rewards' own state."""
    lessons, running = kept.lessons, kept.running
    tensors = {
        "state": [_floats([kept.weight, running.count, running.mean, running.squares])],
        "ids": [torch.tensor(lesson.sequences[0]["input_ids"]) for lesson in lessons],
        "judged": [_judged(lesson) for lesson in lessons],
    }
    tensors |= {name: [getattr(lesson.numbers, name) for lesson in lessons] for name in _TOKENS}
    names = list(lessons[0].parts) if lessons else []
    buffer.save(folder, tensors, {"first": kept.first, "parts": names, "rewards": rewards})


def _judged(lesson: Lesson) -> Tensor:
    return _floats([lesson.length, lesson.ended, lesson.weight, lesson.kl, lesson.score, *lesson.parts.values()])


def _floats(values: Sequence[float]) -> Tensor:
    return torch.tensor(list(values), dtype=torch.float64)


def load(folder: Path) -> tuple[Kept, dict[str, Any]] | None:
    """Return what `save` wrote; None where it wrote nothing."""
    found = buffer.load(folder)
    if found is None:
        return None
    tensors, plain = found
    weight, *running = tensors["state"][0].tolist()
    lessons = tuple(
        _lesson(tensors["ids"][i].tolist(), judged.tolist(), plain["parts"], i, [tensors[name][i] for name in _TOKENS])
        for i, judged in enumerate(tensors["judged"])
    )
    return Kept(int(plain["first"]), lessons, weight, Running(*running)), plain["rewards"]


def _lesson(ids: list[int], judged: list[float], names: Sequence[str], index: int, numbers: Sequence[Tensor]) -> Lesson:
    length, ended, weight, kl, score, *parts = judged
    prompt = len(ids) - int(length)
    row: Any = {"input_ids": ids, "labels": [IGNORED] * prompt + ids[prompt:]}
    return Lesson(
        (row,), index, score=score, parts=dict(zip(names, parts, strict=True)), kl=kl, length=int(length),
        ended=bool(ended), numbers=Numbers(*numbers), weight=weight,
    )  # fmt: skip
