"""Loss and accuracy on held-out rows, on the same path as training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from tuitune.engine.step import cut

if TYPE_CHECKING:
    from tuitune.data import TokenRows
    from tuitune.engine.trainer import StepTrainer


@torch.no_grad()
def score(trainer: StepTrainer, rows: TokenRows) -> tuple[float, int, int]:
    """Return summed loss, rightly predicted and all labelled tokens of `rows`; the inbox is obeyed in between."""
    path = trainer.model_path
    assert path is not None
    size = trainer.args.per_device_eval_batch_size
    trainer.model.eval()
    loss, correct, items = 0.0, 0, 0
    try:
        for start in range(0, len(rows), size):
            end = min(start + size, len(rows))
            for part in cut([rows[i] for i in range(start, end)], path, trainer.stepper.tokens_per_batch):
                trainer.controls.attend(trainer)
                done = trainer.stage.part_loss(trainer.model, part, path)
                loss, correct, items = loss + float(done.loss), correct + int(done.correct), items + done.labelled
            trainer.session.progress("evaluate", end, len(rows))
    finally:
        trainer.model.train()
    return loss, correct, items
