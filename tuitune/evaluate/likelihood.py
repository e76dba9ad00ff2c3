"""How likely the data's tokens are to a model, row by row, on the path that training's evaluation takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, ClassVar

import torch

from tuitune.models.flat import labelled
from tuitune.stages.base import Stage
from tuitune.stages.cut import cut

if TYPE_CHECKING:
    from tuitune.data import Example, Row
    from tuitune.evaluate.partners import Partner
    from tuitune.evaluate.scores import Around
    from tuitune.models.paths import Reading

_AT_ONCE = 64  # rows that are sorted into micro-batches together
Told = Callable[[int, dict[str, float]], None]


class Plain(Stage):
    """Rows that stand for themselves, as in pt and sft."""

    name: ClassVar[str] = "plain"

    def __init__(self) -> None:
        pass

    def scores(self, reading: Reading, examples: Sequence[Example]) -> list[dict[str, float]]:
        """Return loss per token, share of tokens that were the likeliest, and how many tokens, of each example."""
        said = reading.scores(entropy=False)
        counts = reading.lengths.double()
        losses, right = -reading.sums(said.values) / counts, reading.sums(said.correct.double()) / counts
        rows = zip(losses.tolist(), right.tolist(), counts.tolist(), strict=True)
        return [{"loss": loss, "accuracy": share, "labelled": count} for loss, share, count in rows]


class Pairs(Stage):
    """A better and a worse answer to one prompt, or (kto) an answer and one that belongs elsewhere.

    What is remembered is enough for every loss of preferences: the log probability of each answer, `weighed` as the
    stage weighs its tokens, and how many tokens it has.
    """

    name: ClassVar[str] = "pairs"
    weighed: Callable[[Reading, torch.Tensor, Sequence[Example]], torch.Tensor]

    def __init__(self, weighed: Callable[[Reading, torch.Tensor, Sequence[Example]], torch.Tensor]) -> None:
        self.weighed = weighed  # type: ignore[method-assign, unused-ignore]

    def groups(self, example: Example) -> list[Sequence[Row]]:
        """Return both as one group; nothing where one was cut off entirely."""
        return [example.sequences] if all(labelled(row["labels"]) for row in example.sequences) else []

    def scores(self, reading: Reading, examples: Sequence[Example]) -> list[dict[str, float]]:
        """Return for both answers: the weighed and the plain log probability, and the number of tokens."""
        values = reading.scores(entropy=False).values
        sums, plain = self.weighed(reading, values, examples).view(-1, 2), reading.sums(values).view(-1, 2)
        counts = reading.lengths.view(-1, 2)
        return [
            {"logp_chosen": a, "logp_rejected": b, "plain_chosen": c, "tokens_chosen": n, "tokens_rejected": m}
            for (a, b), (c, _), (n, m) in zip(sums.tolist(), plain.tolist(), counts.tolist(), strict=True)
        ]


def read(partner: Partner, stage: Plain | Pairs, examples: Sequence[Example], around: Around, told: Told) -> None:
    """Tell the scores of each example by its place; memory that runs out halves what goes through at once."""
    stage_name, done = f"loss, {partner.key}", 0
    around.progress(stage_name, 0, len(examples))
    for start in range(0, len(examples), _AT_ONCE):
        some = [examples[place] for place in range(start, min(start + _AT_ONCE, len(examples)))]
        for part in _parts(partner, stage, some, around):
            around.check()
            for place, scores in part:
                told(start + place, scores)
            done += len(part)
            around.progress(stage_name, done, len(examples))
    around.progress(stage_name, len(examples), len(examples))


def _parts(
    partner: Partner, stage: Plain | Pairs, some: Sequence[Example], around: Around
) -> Iterator[list[tuple[int, dict[str, float]]]]:
    places = {id(example): place for place, example in enumerate(some)}
    left = list(some)
    while left:
        part = around.surviving(lambda some=left: _first(partner, stage, some, around))  # type: ignore[misc]
        if part is None:
            return
        chosen, scores = part
        yield [(places[id(example)], own) for example, own in zip(chosen, scores, strict=True)]
        gone = set(map(id, chosen))
        left = [example for example in left if id(example) not in gone]


def _first(
    partner: Partner, stage: Plain | Pairs, left: Sequence[Example], around: Around
) -> tuple[list[Example], list[dict[str, float]]] | None:
    """Return the first micro-batch of those left and its scores, None where none of them can be measured."""
    parts = cut(left, stage, partner.path, around.tokens_per_batch())
    if not parts:
        return None
    groups = [group for example in parts[0] for group in stage.groups(example)]
    if isinstance(stage, Plain):  # rows that begin alike share the computation of that
        groups = [[row for group in groups for row in group]]
    with torch.no_grad():
        return parts[0], stage.scores(partner.path.read(partner.model, groups), parts[0])
