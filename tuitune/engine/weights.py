"""What a checkpoint and the result hold of a model: what was learnt, and what others need to load it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.engine.readme import replace_template
from tuitune.models import valued
from tuitune.models.shaping import Shaping

if TYPE_CHECKING:
    from tuitune.engine.trainer import StepTrainer


def write(trainer: StepTrainer, folder: Path, *, exact: bool) -> None:
    """Write the weights, the stage's own and the tokenizer; exact: so that training goes on from them bit by bit."""
    recipe = trainer.recipe
    with valued.apart(trainer.model):
        trainer.method.save(trainer.model, str(folder), exact=exact)
    replace_template(folder, recipe)
    trainer.stage.save(trainer.model, folder, exact=exact)
    Shaping.of(recipe).save_beside(recipe, folder)
    trainer.processing_class.save_pretrained(str(folder))
