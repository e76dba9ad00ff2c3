"""The one trainer of all offline stages: transformers' Trainer whose `training_step` is a whole optimizer step of ours.

The Trainer sees accumulation 1 and micro-batch x accumulation rows per step, so that row order, schedule, checkpoints
and resume are those of a plain Trainer (research: engine.md, section 6.1). What it says goes to the journal, what it
saves is sealed.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers import PrinterCallback, ProgressCallback

from tuitune.engine import checkpoint, evaluation, weights
from tuitune.engine.meter import Meter, Watch
from tuitune.engine.moments import Moments
from tuitune.engine.order import Endless, Repeated
from tuitune.engine.resuming import Resuming
from tuitune.engine.rng import RngState
from tuitune.engine.step import Stepper
from tuitune.methods.base import StepAware
from tuitune.run import events
from tuitune.stages.base import Surroundings

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase, TrainerCallback, TrainingArguments

    from tuitune.data import Example, Examples, Stream
    from tuitune.data.templates import Template
    from tuitune.engine.plan import Plan
    from tuitune.engine.session import Session
    from tuitune.methods.base import Method
    from tuitune.models.generate import Sampling
    from tuitune.models.paths import Path as ModelPath
    from tuitune.recipe import Recipe
    from tuitune.stages.base import Stage


class _Opaque:
    """The rows of a step, in a type of its own: accelerate would walk through every token of a list."""

    def __init__(self, rows: list[Example]) -> None:
        self.rows = rows


def collate(rows: list[Example]) -> dict[str, _Opaque]:
    """Hand the rows of a step over as they are."""
    return {"rows": _Opaque(rows)}


class StepTrainer(Resuming):
    """Trains; `stepper` and `controls` are set by the engine before `train`."""

    stepper: Stepper

    def __init__(
        self,
        *,
        model: nn.Module,
        args: TrainingArguments,
        recipe: Recipe,
        method: Method,
        stage: Stage,
        session: Session,
        plan: Plan,
        restored: checkpoint.Restored | None,
        tokenizer: PreTrainedTokenizerBase,
        train_rows: Examples | Stream,
        eval_rows: Examples | None,
        callbacks: list[TrainerCallback],
        data_digest: str = "",
    ) -> None:
        self.recipe, self.method, self.stage, self.session = recipe, method, stage, session
        self.plan, self.restored = plan, restored
        self.model_path: ModelPath | None = None
        self.step_aware: StepAware | None = None
        self.meter = Meter()
        self._watch = Watch(session.warn)
        self.evaluation_due = False
        self.data_digest = data_digest
        super().__init__(
            model=model, args=args, data_collator=collate, train_dataset=Endless.of(train_rows), eval_dataset=eval_rows,
            processing_class=tokenizer, callbacks=[*callbacks, Moments(self)],
        )  # fmt: skip
        for unwanted in (PrinterCallback, ProgressCallback):
            self.remove_callback(unwanted)
        self.loss_is_scaled_for_ga = True
        self._boundary = None

    # One optimizer step

    def training_step(self, model: nn.Module, inputs: dict[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """Leave the gradient of a whole optimizer step in the parameters and return its mean loss, detached."""
        model.train()
        if callable(getattr(self.optimizer, "train", None)):
            self.optimizer.train()
        begun, away = time.monotonic(), self.controls.seconds_away
        rows, step = inputs["rows"].rows, self.state.global_step + 1
        examples = self.stepper.surviving(model, lambda: self.stage.before_step(rows, step))
        result = self.stepper.run(model, examples, self.step_aware)
        seconds = time.monotonic() - begun - (self.controls.seconds_away - away)
        self.meter.add(result, seconds)
        self.state.num_input_tokens_seen += result.tokens
        return result.loss.to(self.args.device)

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> tuple[list[Any], None]:
        """Take the batches; what is counted per step is counted by the stage."""
        samples, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        return samples, None

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: Any) -> None:
        return None

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        times = self.stage.steps_per_batch
        if times == 1:
            return super()._get_train_sampler(train_dataset)
        rows: Any = self.train_dataset if train_dataset is None else train_dataset
        recipe = self.recipe
        seed = recipe.seed if recipe.data_seed is None else recipe.data_seed
        return Repeated(
            len(rows), self.args.per_device_train_batch_size, times, seed=seed, shuffle=not recipe.disable_shuffling
        )

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Return 0: transformers' formula is wrong for adapters and for rows without padding."""
        return 0

    def create_optimizer(self, model: nn.Module | None = None) -> torch.optim.Optimizer:
        """Use the method's own optimizer where it has one."""
        if self.optimizer is None:
            self.optimizer = self.method.optimizer(self.model, self.recipe, self.args)
            self.step_aware = self.optimizer if isinstance(self.optimizer, StepAware) else None
            if hasattr(self.optimizer, "say"):
                self.optimizer.say = self.session.note
        made: torch.optim.Optimizer = super().create_optimizer(model)
        return made

    def _clip_grad_norm(self, model: nn.Module) -> Any:
        # Layerwise updates have let go of the gradients by now, and measured them on the way.
        plain: Any = super()._clip_grad_norm
        return plain(model) if self.step_aware is None else self.step_aware.grad_norm()

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        if self.step_aware is not None:
            return self.step_aware.grad_norm()
        plain: Any = super()._get_grad_norm
        return plain(model, grad_norm)

    # What is said

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Write the figures to the journal; the Trainer's own history would make every checkpoint longer."""
        if "loss" in logs:
            self.session.emit(self.meter.logged(self.state, logs, self.args.device))
            self._watch.look(self.state.global_step, logs)
            if not torch.isfinite(self._tr_loss):  # Trainer empties it by subtraction: one infinite loss would stay
                self._tr_loss = torch.zeros_like(self._tr_loss)
        self.control = self.callback_handler.on_log(self.args, self.state, self.control, logs)

    # Evaluation

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Return the mean loss over the evaluation rows, their accuracy if asked, and the stage's own figures."""
        rows = self.eval_dataset if eval_dataset is None else eval_dataset
        begun = time.monotonic()
        sums = evaluation.score(self, rows)
        metrics = {f"{metric_key_prefix}_loss": sums.loss / max(1, sums.items)}
        if self.recipe.compute_accuracy:
            metrics[f"{metric_key_prefix}_accuracy"] = sums.correct / max(1, sums.labelled)
        for name, value in (sums.metrics() | self.stage.end_of_evaluation()).items():
            metrics[f"{metric_key_prefix}_{name}"] = value
        extra = {k: v for k, v in metrics.items() if k != f"{metric_key_prefix}_loss"}
        self.session.emit(
            events.EvalLogged(
                self.state.global_step, self.state.epoch or 0.0, metrics[f"{metric_key_prefix}_loss"], extra,
                time.monotonic() - begun,
            )
        )  # fmt: skip
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        return metrics

    # Checkpoints

    def save_boundary(self) -> None:
        """Write a checkpoint of the last whole step, dropping what the unfinished one has done."""
        self.model.zero_grad(set_to_none=True)
        if self.step_aware is not None:
            self.step_aware.discard()
        if self._boundary is not None:
            self._boundary.restore()
        self._save_checkpoint(self.model, None)

    def save_paused(self) -> None:
        """Write a checkpoint of the last whole step without giving the unfinished one up: its gradients stay."""
        if self.state.global_step == 0 or self._boundary is None:
            self.controls.saved(failed="there is nothing to save before the first step has ended")
            return
        now = RngState.capture(self.args.device)
        self._boundary.restore()
        checkpoint.save(self)
        now.restore()

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        checkpoint.save(self)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Any] | None = None) -> None:
        # Without training_args.bin: a pickle that nobody should have to load.
        assert output_dir is not None
        weights.write(self, Path(output_dir), exact=True)

    def surroundings(self, template: Template, sampling: Sampling) -> Surroundings:
        """Return what the stage may use of this run."""
        session = self.session
        assert self.model_path is not None
        return Surroundings(
            self.model, self.model_path, self.processing_class, template, self.recipe, sampling, session.run.path,
            tokens_per_batch=lambda: self.stepper.tokens_per_batch, attend=self.attend, phase=session.phase,
            precision=self.precision, emit=session.emit, note=session.note, warn=session.warn,
            progress=session.progress, step=lambda: self.state.global_step,
        )  # fmt: skip

    def attend(self) -> None:
        """Obey the inbox; before the optimizer is there, only a stop."""
        if self.optimizer is None:
            self.session.check()
        else:
            self.controls.attend(self)

    def precision(self) -> contextlib.AbstractContextManager[object]:
        """Open the precision of training for a forward that does not go through the Trainer's own model call."""
        kind = self.plan.autocast_dtype
        return contextlib.nullcontext() if kind is None else torch.autocast(self.args.device.type, dtype=kind)

    def after_failed_reply(self) -> None:
        """Clean up after a reply that raised."""
        if self.args.device.type == "cuda":
            torch.cuda.empty_cache()
