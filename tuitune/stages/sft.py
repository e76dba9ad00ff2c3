"""Supervised fine-tuning: the mean loss of the labelled tokens of a step; likelihood, DFT, ASFT or EAFT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from tuitune.models.flat import labelled
from tuitune.models.losses import PLAIN, Name, Objective
from tuitune.recipe.fields.losses import loss_name
from tuitune.stages.base import Part, Stage, Surroundings
from tuitune.stages.predict import Predictions

if TYPE_CHECKING:
    from torch import nn

    from tuitune.data import Example, Examples
    from tuitune.models.paths import Path
    from tuitune.recipe import Recipe


class Sft(Stage):
    """Next-token prediction on the labelled tokens; evaluation always measures plain likelihood."""

    name: ClassVar[str] = "sft"

    def __init__(self, recipe: Recipe | None = None) -> None:
        if recipe is not None:
            super().__init__(recipe)
        self._objective = objective(recipe) if recipe else PLAIN
        self._predictions: Predictions | None = None

    @property
    def needs_reference(self) -> bool:
        """Whether `reference` must be set before a training."""
        return self._objective.anchored

    def items(self, examples: Sequence[Example]) -> int:
        """Return the number of labelled tokens."""
        return sum(labelled(row["labels"]) for example in examples for row in example.sequences)

    def part_loss(self, model: nn.Module, examples: Sequence[Example], path: Path) -> Part:
        """Return the summed loss of the labelled tokens of `examples`."""
        rows = [row for example in examples for row in example.sequences]
        ids, labels = [row["input_ids"] for row in rows], [row["labels"] for row in rows]
        what, reference = (self._objective, self.reference) if model.training else (PLAIN, None)
        scored = path.score(model, ids, labels, what, reference)
        return Part(scored.loss, scored.tokens, scored.labelled, scored.correct)

    def begin(self, around: Surroundings, train: Examples, evaluation: Examples | None) -> None:
        """Make ready to answer the held-out prompts, where the recipe wants it."""
        if self.recipe.predict_with_generate and evaluation is not None:
            self._predictions = Predictions(around, evaluation)

    def end_of_evaluation(self) -> dict[str, float]:
        """Answer the held-out prompts and return how like the data's answers that is."""
        return {} if self._predictions is None else self._predictions.measure()


def objective(recipe: Recipe) -> Objective:
    """Return the loss that a recipe asks for."""
    name: Name = loss_name(recipe)
    return Objective(name, {"asft": recipe.asft_alpha, "eaft": recipe.eaft_alpha}.get(name, 0.0))
