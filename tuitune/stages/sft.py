"""Supervised fine-tuning: the mean loss of the labelled tokens of a step; likelihood, DFT, ASFT or EAFT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuitune.models.flat import labelled
from tuitune.models.losses import PLAIN, Name, Objective
from tuitune.recipe.fields.losses import loss_name
from tuitune.stages.base import Part

if TYPE_CHECKING:
    from torch import nn

    from tuitune.data import Row
    from tuitune.models.paths import Path
    from tuitune.models.reference import Reference
    from tuitune.recipe import Recipe


class Sft:
    """Next-token prediction on the labelled tokens; evaluation always measures plain likelihood."""

    name = "sft"

    def __init__(self, recipe: Recipe | None = None) -> None:
        self._objective = objective(recipe) if recipe else PLAIN
        self.reference: Reference | None = None

    @property
    def needs_reference(self) -> bool:
        """Whether `reference` must be set before a training."""
        return self._objective.anchored

    def items(self, rows: Sequence[Row]) -> int:
        """Return the number of labelled tokens."""
        return sum(labelled(row["labels"]) for row in rows)

    def part_loss(self, model: nn.Module, rows: Sequence[Row], path: Path) -> Part:
        """Return the summed loss of the labelled tokens of `rows`."""
        ids, labels = [row["input_ids"] for row in rows], [row["labels"] for row in rows]
        what, reference = (self._objective, self.reference) if model.training else (PLAIN, None)
        scored = path.score(model, ids, labels, what, reference)
        return Part(scored.loss, scored.tokens, scored.labelled, scored.correct)


def objective(recipe: Recipe) -> Objective:
    """Return the loss that a recipe asks for."""
    name: Name = loss_name(recipe)
    return Objective(name, {"asft": recipe.asft_alpha, "eaft": recipe.eaft_alpha}.get(name, 0.0))
