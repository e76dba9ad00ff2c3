"""The answers to one prompt as one example: what was found out about them when they were given goes with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import torch

from tuitune.data import Example
from tuitune.data.rows import IGNORED
from tuitune.stages.online import buffer

if TYPE_CHECKING:
    from pathlib import Path as Folder

    from torch import Tensor

    from tuitune.data import Row
    from tuitune.models.paths import Path
    from tuitune.stages.online.answer import Answer


@dataclass(frozen=True, slots=True)
class Group(Example):
    """Some answers to a prompt; sequences: prompt + answer, the answer labelled.

    advantages: one for each. old: log probabilities of their tokens under the weights that gave them, none where those
    are the weights that learn; reference: under the reference, none without one. figures: sums and counts that are
    known of the whole batch, at its first group.
    """

    advantages: tuple[float, ...] = ()
    old: tuple[Tensor, ...] = ()
    reference: tuple[Tensor, ...] = ()
    figures: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def some(self, start: int, end: int) -> Group:
        """Return the answers from `start` to before `end`."""
        return replace(
            self, sequences=self.sequences[start:end], advantages=self.advantages[start:end],
            old=self.old[start:end], reference=self.reference[start:end], figures=self.figures if start == 0 else {},
        )  # fmt: skip


def row_of(answer: Answer) -> Row:
    """Return prompt and answer as one sequence of which the answer is labelled."""
    prompt, ids = list(answer.prompt_ids), list(answer.ids)
    return {"input_ids": prompt + ids, "labels": [IGNORED] * len(prompt) + ids}


def divided(group: Group, path: Path, most: int) -> list[Group]:
    """Return the group in as few parts as fit `most` tokens; a longer answer stands alone."""
    parts, start = list[Group](), 0
    for end in range(1, len(group.sequences) + 1):
        if end - start > 1 and path.combined(path.sizes(group.sequences[start:end]), 0) > most:
            parts.append(group.some(start, end - 1))
            start = end - 1
    return [*parts, group.some(start, len(group.sequences))]


def save(folder: Folder, groups: Sequence[Group], plain: Mapping[str, Any]) -> None:
    """Write groups, and what else JSON can hold, into a checkpoint."""
    rows = [row for group in groups for row in group.sequences]
    tensors = {
        "ids": [torch.tensor(row["input_ids"]) for row in rows],
        "advantages": [torch.tensor(group.advantages, dtype=torch.float64) for group in groups],
        "old": [logps for group in groups for logps in group.old],
        "reference": [logps for group in groups for logps in group.reference],
    }
    prompts = [next(i for i, label in enumerate(row["labels"]) if label != IGNORED) for row in rows]
    known = {"prompts": prompts, "indices": [group.index for group in groups],
             "figures": [dict(group.figures) for group in groups]}  # fmt: skip
    buffer.save(folder, tensors, {**plain, "groups": known})


def load(folder: Folder) -> tuple[list[Group], dict[str, Any]] | None:
    """Return what `save` wrote, or None."""
    found = buffer.load(folder)
    if found is None:
        return None
    tensors, plain = found
    known = plain.pop("groups")
    rows = [_row(ids.tolist(), prompt) for ids, prompt in zip(tensors["ids"], known["prompts"], strict=True)]
    ends = list(accumulate(len(each) for each in tensors["advantages"]))
    made = []
    for i, end in enumerate(ends):
        start = ends[i - 1] if i else 0
        made.append(
            Group(
                tuple(rows[start:end]), known["indices"][i], advantages=tuple(tensors["advantages"][i].tolist()),
                old=tuple(tensors["old"][start:end]), reference=tuple(tensors["reference"][start:end]),
                figures={name: (value, count) for name, (value, count) in known["figures"][i].items()},
            )
        )  # fmt: skip
    return made, plain


def _row(ids: list[int], prompt: int) -> Row:
    return {"input_ids": ids, "labels": [IGNORED] * prompt + ids[prompt:]}
