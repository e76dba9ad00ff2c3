"""Loss, accuracy and the stage's own figures on held-out examples, on the same path as training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from tuitune.engine.step import added, cut

if TYPE_CHECKING:
    from tuitune.data import Example, Examples
    from tuitune.engine.trainer import StepTrainer
    from tuitune.stages.base import Figure


@dataclass
class Measured:
    """Sums over held-out examples: loss and what it is averaged over, rightly predicted and all labelled tokens."""

    loss: float = 0.0
    items: int = 0
    correct: int = 0
    labelled: int = 0
    figures: dict[str, Figure] = field(default_factory=dict)

    def add(self, more: Measured) -> None:
        """Add those of other examples."""
        self.loss, self.items = self.loss + more.loss, self.items + more.items
        self.correct, self.labelled = self.correct + more.correct, self.labelled + more.labelled
        self.figures = added(self.figures, more.figures)

    def metrics(self) -> dict[str, float]:
        """Return the means of the stage's own figures."""
        return {name: float(value) / max(count, 1e-9) for name, (value, count) in self.figures.items()}


@torch.no_grad()
def score(trainer: StepTrainer, rows: Examples) -> Measured:
    """Return what the examples come to; the inbox is obeyed in between."""
    size = trainer.args.per_device_eval_batch_size
    trainer.model.eval()
    sums = Measured()
    try:
        for start in range(0, len(rows), size):
            examples = [rows[i] for i in range(start, min(start + size, len(rows)))]
            sums.add(trainer.stepper.surviving(trainer.model, lambda some=examples: _some(trainer, some)))  # type: ignore[misc]
            trainer.session.progress("evaluate", start + len(examples), len(rows))
    finally:
        trainer.model.train()
    return sums


def _some(trainer: StepTrainer, examples: Sequence[Example]) -> Measured:
    path, stage = trainer.model_path, trainer.stage
    assert path is not None
    examples, sums = stage.evaluation_examples(examples), Measured()
    for part in cut(examples, stage, path, trainer.stepper.tokens_per_batch):
        trainer.controls.attend(trainer)
        done = stage.part_loss(trainer.model, part, path)
        sums.add(Measured(float(done.loss), stage.items(part), int(done.correct), done.labelled, dict(done.figures)))
    return sums
