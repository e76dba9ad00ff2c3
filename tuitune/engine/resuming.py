"""Where transformers' Trainer goes on from a checkpoint, made exact: nothing lost, nothing done twice."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn
from transformers import Trainer

from tuitune.engine import changes, rates
from tuitune.engine.rng import RngState
from tuitune.errors import RunError, TrainingError
from tuitune.models import valued
from tuitune.recipe.fields.figures import LOSS, bare
from tuitune.run import manifest

if TYPE_CHECKING:
    from tuitune.engine.checkpoint import Restored
    from tuitune.engine.control import Controls
    from tuitune.engine.session import Session
    from tuitune.methods.base import Method
    from tuitune.recipe import Recipe
    from tuitune.stages.base import Stage

_OPTIMIZER_KEYS = ("weight_decay", "betas", "eps", "momentum", "dampening", "nesterov", "lr_decay", "alpha", "centered")


class Resuming(Trainer):
    """The part of our trainer that restores; the other part has the attributes."""

    session: Session
    method: Method
    stage: Stage
    recipe: Recipe
    controls: Controls
    restored: Restored | None
    evaluation_due: bool
    _boundary: RngState | None
    # The Trainer's own annotations allow None and much else for what is always there in our runs.
    model: Any
    optimizer: Any
    lr_scheduler: Any
    processing_class: Any
    eval_dataset: Any

    @property
    def peak_learning_rate(self) -> float:
        """What the schedule scales; the first group's where a method has several."""
        return rates.peak(self.optimizer, self.lr_scheduler)

    def set_learning_rate(self, value: float) -> None:
        """Make `value` the peak of the schedule from now on; checkpoints carry it."""
        rates.set_peak(self.optimizer, self.lr_scheduler, value)

    def at_boundary(self) -> None:
        """Remember the random state between two steps: a checkpoint written in the middle of one needs it."""
        self._boundary = RngState.capture(self.args.device)

    @contextlib.contextmanager
    def _same_types(self) -> Iterator[None]:
        """Keep the precision of what is trained: peft loads adapters in fp32 whatever they were."""
        kinds = {name: p.dtype for name, p in self.model.named_parameters() if p.requires_grad}
        yield
        for name, parameter in self.model.named_parameters():
            if name in kinds and parameter.dtype != kinds[name]:
                parameter.data = parameter.data.to(kinds[name])

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        tied = tuple(getattr(self.model, "_tied_weights_keys", None) or ())
        lost = [key for key in load_result.missing_keys if not key.endswith(tied)] + list(load_result.unexpected_keys)
        if lost:
            raise RunError(f"the checkpoint does not fit this model: {', '.join(lost[:3])}", "start the run anew")
        self.model.tie_weights()

    def _load_rng_state(self, checkpoint: str | None) -> None:
        super()._load_rng_state(checkpoint)
        # The beginning of the loop saw the state before this: a stop in the first step must not save that one.
        self.at_boundary()

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        # A run that broke off between its last checkpoint and its result has nothing left to train.
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
        else:
            run: Any = super()._run_epoch
            run(*args, **kwargs)

    def _evaluate(self, trial: Any, ignore_keys_for_eval: Any, skip_scheduler: bool = False) -> dict[str, float]:
        # Left true by a stop in the middle: the checkpoint remembers that this evaluation is still due.
        self.evaluation_due = True
        metrics: dict[str, float] = super()._evaluate(trial, ignore_keys_for_eval, skip_scheduler)
        self.evaluation_due = False
        return metrics

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        name = f"eval_{bare(self.args.metric_for_best_model or LOSS)}"
        if name not in metrics:
            raise TrainingError(
                f"metric_for_best_model: this evaluation has no {name}", f"it has {', '.join(sorted(metrics))}"
            )
        best = super()._determine_best_metric(metrics, trial)
        if best and self.args.load_best_model_at_end:
            self.control.should_save = True  # what shall be loaded at the end must exist
        return best or self.controls.save_wanted

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        # A value head is no part of the saved model; the stage brings it back.
        with valued.apart(self.model):
            if self.method.restore(self.model, Path(resume_from_checkpoint)):
                return
            with self._same_types():
                super()._load_from_checkpoint(resume_from_checkpoint, model)

    def _load_best_model(self) -> None:
        best = manifest.verify(Path(str(self.state.best_model_checkpoint)))
        if not best.valid:
            self.session.warn(
                f"the best checkpoint cannot be loaded: {best.reason}", "the result has the last weights instead"
            )
            return
        folder = Path(str(self.state.best_model_checkpoint))
        with valued.apart(self.model):
            if not self.method.restore(self.model, folder):
                with self._same_types():
                    super()._load_best_model()
        self.stage.load(self.model, folder, best=True)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        """Restore both, then apply what the recipe has changed since: the saved states bring their old values."""
        asked = [
            {key: group.get(key) for key in _OPTIMIZER_KEYS if key in group} for group in self.optimizer.param_groups
        ]
        super()._load_optimizer_and_scheduler(checkpoint)
        if self.restored is None:
            return
        new = changes.changed(self.restored.own["recipe"], self.recipe)
        if not new.keys().isdisjoint(changes.OPTIMIZER):
            for group, values in zip(self.optimizer.param_groups, asked, strict=True):
                group.update(values)
        rates.refresh(self.optimizer, self.lr_scheduler)
        if "learning_rate" in new:
            self.set_learning_rate(self.recipe.learning_rate)
