"""Loss, accuracy and the stage's own figures on held-out examples, on the same path as training."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from tuitune.engine.step import added, cut

if TYPE_CHECKING:
    from tuitune.data import Examples
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

    def metrics(self) -> dict[str, float]:
        """Return the means of the stage's own figures."""
        return {name: float(value) / max(count, 1e-9) for name, (value, count) in self.figures.items()}


@torch.no_grad()
def score(trainer: StepTrainer, rows: Examples) -> Measured:
    """Return what the examples come to; the inbox is obeyed in between."""
    path, stage = trainer.model_path, trainer.stage
    assert path is not None
    size = trainer.args.per_device_eval_batch_size
    trainer.model.eval()
    sums = Measured()
    try:
        for start in range(0, len(rows), size):
            end = min(start + size, len(rows))
            examples = stage.evaluation_examples([rows[i] for i in range(start, end)])
            for part in cut(examples, stage, path, trainer.stepper.tokens_per_batch):
                trainer.controls.attend(trainer)
                done = stage.part_loss(trainer.model, part, path)
                sums.loss += float(done.loss)
                sums.items += stage.items(part)
                sums.correct, sums.labelled = sums.correct + int(done.correct), sums.labelled + done.labelled
                sums.figures = added(sums.figures, done.figures)
            trainer.session.progress("evaluate", end, len(rows))
    finally:
        trainer.model.train()
    return sums
