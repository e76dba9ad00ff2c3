"""What a model says of answers that are there already: log probabilities and values, without a gradient."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from tuitune.models.generate import in_evaluation
from tuitune.models.valued import head_of

if TYPE_CHECKING:
    from torch import Tensor

    from tuitune.data import Row
    from tuitune.models.paths import Path, Reading
    from tuitune.models.reference import Reference
    from tuitune.models.valued import ValueHead
    from tuitune.stages.base import Surroundings

Group = Sequence["Row"]


@dataclass(frozen=True)
class Told:
    """Of the labelled tokens of one sequence (T,), on the CPU: log probabilities, and the value and entropy before each
    where they were asked for.
    """

    logps: Tensor
    values: Tensor | None = None
    entropy: Tensor | None = None


@torch.no_grad()
def told(
    around: Surroundings,
    groups: Sequence[Group],
    *,
    temperature: float,
    valued: bool = False,
    entropy: bool = False,
    reference: Reference | None = None,
) -> list[Told]:
    """Return what the model says of each sequence, group by group; in evaluation mode, in the precision of training.

    A group are sequences whose common beginning, if they have one, is to be computed once; it is cut where it is too
    large for one forward. valued: the value head's numbers too; entropy: that too. reference: to ask it instead. Obeys
    the inbox in between, so it may raise.
    """
    pieces = _split(around.path, groups, around.tokens_per_batch())
    found: dict[int, list[Told]] = {}
    for part in _together(around.path, pieces, around.tokens_per_batch()):
        around.attend()
        with _reading(around, [pieces[place] for place in part], reference) as reading:
            each = iter(_taken(reading, temperature, head_of(around.model) if valued else None, entropy))
            for place in part:
                found[place] = [next(each) for _ in pieces[place]]
    return [one for place in range(len(pieces)) for one in found[place]]


@contextmanager
def _reading(around: Surroundings, groups: Sequence[Group], reference: Reference | None) -> Iterator[Reading]:
    if reference is not None:
        with reference.reading(around.model, around.path, groups) as reading:
            yield reading
    else:
        with around.precision(), in_evaluation(around.model):
            yield around.path.read(around.model, groups)


def _taken(reading: Reading, temperature: float, head: ValueHead | None, entropy: bool) -> list[Told]:
    scores = reading.scores(temperature, entropy=entropy)
    numbers = (scores.values, head(reading.hidden) if head else None, scores.entropy if entropy else None)
    lengths = reading.lengths.tolist()
    each = [[None] * len(lengths) if one is None else torch.split(one.cpu(), lengths) for one in numbers]
    return [Told(*own) for own in zip(*each, strict=True)]


def _split(path: Path, groups: Sequence[Group], most: int) -> list[Group]:
    """Return the groups, those that are too large for one forward in halves."""
    out: list[Group] = []
    for group in groups:
        if len(group) > 1 and path.combined(path.sizes(group), 0) > most:
            out.extend(_split(path, [group[: len(group) // 2], group[len(group) // 2 :]], most))
        else:
            out.append(group)
    return out


def _together(path: Path, groups: Sequence[Group], most: int) -> list[list[int]]:
    """Return the places of groups that go through the model together, the largest first."""
    sizes = [path.sizes(group) for group in groups]
    parts: list[tuple[list[int], list[int]]] = []
    for place in sorted(range(len(groups)), key=lambda i: -path.combined(sizes[i], 0)):
        for own, part in parts:
            if path.combined([*own, *sizes[place]], 0) <= most:
                own.extend(sizes[place])
                part.append(place)
                break
        else:
            parts.append((list(sizes[place]), [place]))
    return [part for _, part in parts]
