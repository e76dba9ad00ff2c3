"""Supervised fine-tuning: the mean negative log-likelihood of the labelled tokens of a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuitune.models.flat import labelled
from tuitune.stages.base import Part

if TYPE_CHECKING:
    from torch import nn

    from tuitune.data import Row
    from tuitune.models.paths import Path
    from tuitune.recipe import Recipe


class Sft:
    """Next-token prediction on the labelled tokens."""

    name = "sft"

    def __init__(self, recipe: Recipe | None = None) -> None:
        self._recipe = recipe

    def items(self, rows: Sequence[Row]) -> int:
        """Return the number of labelled tokens."""
        return sum(labelled(row["labels"]) for row in rows)

    def part_loss(self, model: nn.Module, rows: Sequence[Row], path: Path) -> Part:
        """Return the summed negative log-likelihood of the labelled tokens of `rows`."""
        scored = path.score(model, [row["input_ids"] for row in rows], [row["labels"] for row in rows])
        return Part(scored.loss, scored.tokens, scored.labelled, scored.correct)
