"""The moments between two optimizer steps: what the run, its method and its stage do then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from transformers import TrainerCallback

from tuitune.engine import checkpoint
from tuitune.engine.order import Endless

if TYPE_CHECKING:
    from tuitune.engine.trainer import StepTrainer


class Moments(TrainerCallback):
    """Told by the Trainer where it is."""

    def __init__(self, trainer: StepTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Bring back what the Trainer's own resume does not, and begin."""
        trainer = self._trainer
        checkpoint.after_restore(trainer)
        trainer.session.stepped(state.global_step, state.max_steps)
        trainer.session.status("running")
        trainer.session.phase("train", f"{state.max_steps} steps")
        trainer.method.begin(trainer.model, trainer.recipe, state.max_steps, trainer.session.note)
        trainer.at_boundary()

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Let method and stage do what follows an update."""
        self._trainer.method.after_step(self._trainer.model, state.global_step + 1)
        self._trainer.stage.after_step(state.global_step + 1)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Tell how far the run is, and have a checkpoint written where one was asked for."""
        trainer = self._trainer
        if isinstance(trainer.train_dataset, Endless):
            state.epoch = trainer.train_dataset.epochs(state.global_step * args.per_device_train_batch_size)
        trainer.session.stepped(state.global_step, state.max_steps)
        trainer.at_boundary()
        if trainer.controls.save_wanted:
            control.should_save = True
