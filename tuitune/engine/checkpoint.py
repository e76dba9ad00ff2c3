"""Checkpoints: what a resume needs to end bit-equal, sealed, and chosen again only when whole."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import torch
from safetensors import SafetensorError
from transformers import EarlyStoppingCallback
from transformers.trainer_callback import ExportableState

from tuitune.engine import changes
from tuitune.errors import RunError, UsageError
from tuitune.run import events, manifest
from tuitune.run.directory import RunDir
from tuitune.run.rotate import rotate

if TYPE_CHECKING:
    from tuitune.engine.trainer import StepTrainer
    from tuitune.recipe import Recipe

OWN = "tuitune.json"
_NEEDED = ("optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json", OWN)


@dataclass(frozen=True)
class Restored:
    """A checkpoint to go on from, and what our own file in it says."""

    path: Path
    step: int
    own: dict[str, Any]


def save(trainer: StepTrainer) -> None:
    """Write, seal and announce the checkpoint of the step that has just ended; a full disk is only a warning."""
    session, step = trainer.session, trainer.state.global_step
    begun = time.monotonic()
    try:
        aside = _superseded(trainer, step)
        if aside is None:
            trainer.controls.saved()
            return
        sealed = _write_sealed(trainer, step)
        for former in aside:
            manifest.discard(former)
    except (OSError, RuntimeError, RunError, SafetensorError) as error:  # each reports a full disk in its own way
        reason = f"checkpoint {step} could not be written: {error}"
        session.warn(reason, "training goes on and earlier checkpoints are whole")
        trainer.controls.saved(failed=reason)
        return
    best = trainer.state.best_global_step == step
    session.emit(events.CheckpointSaved(step, str(sealed.path), sealed.bytes, time.monotonic() - begun, best))
    trainer.controls.saved()
    if trainer.recipe.save_total_limit is not None:
        keep = [session.run.checkpoint(trainer.state.best_global_step)] if trainer.state.best_global_step else []
        rotate(session.run.path, trainer.recipe.save_total_limit, keep)


def _superseded(trainer: StepTrainer, step: int) -> list[Path] | None:
    """Set a checkpoint of this very step and attempt aside and return it; None if it says the same and can stay."""
    run, path = trainer.session.run, trainer.session.run.checkpoint(step)
    if not manifest.verify(path).valid or manifest.read(path).attempt != trainer.session.attempt:
        return []
    if _read(path).own["peak_learning_rate"] == trainer.peak_learning_rate and not trainer.evaluation_due:
        return None
    assert path.parent == run.path
    return [manifest.set_aside(path)]


def _write_sealed(trainer: StepTrainer, step: int) -> manifest.Sealed:
    run = trainer.session.run
    if not finite(trainer.model, trainer.recipe):
        # It would be the newest one, and sooner or later the only one.
        raise RunError("the weights hold numbers that are not finite")
    needed = _bytes_needed(trainer)
    if not manifest.room_for(run.path, needed):
        raise OSError(f"it needs {needed:,} bytes, the disk has {manifest.free_space(run.path):,}")
    folder = manifest.temporary(run.path, step)
    try:
        _write(trainer, folder)
        return manifest.seal(
            folder, run.checkpoint(step), {"stage": trainer.stage.name}, step=step, attempt=trainer.session.attempt
        )
    except BaseException:
        if folder.exists():
            manifest.discard(folder)
        raise


def finite(model: Any, recipe: Recipe) -> bool:
    """Whether every number that was trained is finite, also of blocks whose turn to learn is over."""
    return all(bool(torch.isfinite(p).all()) for p in _saved(model, recipe) if p.is_floating_point())


def _saved(model: Any, recipe: Recipe) -> list[torch.nn.Parameter]:
    return [p for p in model.parameters() if recipe.whole or p.requires_grad]


def weight_bytes(model: Any, recipe: Recipe) -> int:
    """Return the bytes of the weights that a checkpoint or the result holds."""
    return sum(p.numel() * p.element_size() for p in _saved(model, recipe))


def _bytes_needed(trainer: StepTrainer) -> int:
    weights = weight_bytes(trainer.model, trainer.recipe)
    states = 0 if trainer.recipe.save_only_model else _bytes_in(trainer.optimizer.state_dict())
    return weights + states + (8 << 20)


def _bytes_in(value: object) -> int:
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return sum(map(_bytes_in, parts))


def _write(trainer: StepTrainer, folder: Path) -> None:
    # The parts are the Trainer's own, so that its resume reads them; the order and the place are ours.
    trainer.save_model(str(folder), _internal_call=True)
    _remember_best(trainer)
    if not trainer.recipe.save_only_model:
        trainer._save_optimizer_and_scheduler(str(folder))
        trainer._save_scaler(str(folder))
        trainer._save_rng_state(str(folder))
    for callback in [*trainer.callback_handler.callbacks, trainer.control]:
        if isinstance(callback, ExportableState):
            states: Any = trainer.state.stateful_callbacks
            states[type(callback).__name__] = callback.state()
    trainer.state.save_to_json(str(folder / "trainer_state.json"))
    (folder / OWN).write_bytes(orjson.dumps(own_state(trainer)))


def _remember_best(trainer: StepTrainer) -> None:
    step = trainer.state.best_global_step
    if step:
        trainer.state.best_model_checkpoint = str(trainer.session.run.checkpoint(step))


def own_state(trainer: StepTrainer) -> dict[str, Any]:
    """Return what the Trainer does not keep: the plan in force, and the figures since the last log line."""
    return {
        "plan": {**trainer.plan.to_dict(), "tokens_per_batch": trainer.stepper.tokens_per_batch}
        | ({"recompute": True} if trainer.stepper.recomputing else {}),
        "recipe": changes.remembered(trainer.recipe),
        "loss_sum": float(trainer._tr_loss),
        "last_logged": trainer._globalstep_last_logged,
        "meter": trainer.meter.to_dict(),
        "total_loss": float(trainer._total_loss_scalar),
        "data": trainer.data_digest,
        "evaluation_due": trainer.evaluation_due,
        "asked": trainer.recipe.resume_from_checkpoint,
        "peak_learning_rate": trainer.peak_learning_rate,
    }


def after_restore(trainer: StepTrainer) -> None:
    """At the begin of the training loop: go on with the figures of the checkpoint, if there is one."""
    if trainer.restored is None:
        return
    own = trainer.restored.own
    if trainer.state.global_step > trainer.state.max_steps:
        raise UsageError(
            f"the run has done {trainer.state.global_step} steps already, "
            f"more than the {trainer.state.max_steps} asked for",
            "ask for more steps or epochs",
        )
    trainer._tr_loss = torch.tensor(_number(own["loss_sum"]), device=trainer.args.device)
    trainer._globalstep_last_logged = int(own["last_logged"])
    # The mean loss at the end is that of the whole run.
    trainer._total_loss_scalar, trainer._initial_global_step = _number(own["total_loss"]), 0
    trainer.meter.restore(own["meter"])
    # The saved state brings the intervals of the former recipe.
    state: Any = trainer.state
    state.compute_steps(trainer.args, trainer.state.max_steps)
    _remember_best(trainer)
    _remember_patience(trainer)
    if own["evaluation_due"]:
        metrics = trainer._evaluate(None, None)
        trainer._determine_best_metric(metrics, None)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value  # JSON has no NaN


def _remember_patience(trainer: StepTrainer) -> None:
    # Only the counter: a new patience in the recipe shall count.
    name = "early_stopping_patience_counter"
    states: Any = trainer.state.stateful_callbacks
    for callback in trainer.callback_handler.callbacks:
        if isinstance(callback, EarlyStoppingCallback):
            saved = states.get(type(callback).__name__, {})
            callback.early_stopping_patience_counter = saved.get("attributes", {}).get(name, 0)


def choose(run: RunDir, asked: str | None) -> tuple[Restored | None, list[tuple[Path, str]]]:
    """Return the checkpoint to resume from (None: begin at the beginning) and the newer ones that were rejected, with
    why.

    asked: a checkpoint that the user names; raises RunError when that one cannot be used. Once the run has checkpoints
    of its own that came from there, those are newer.
    """
    newest, rejected = _newest(run)
    if asked is not None and (newest is None or newest.own.get("asked") != asked):
        path = Path(asked).expanduser().absolute()
        reason = _why_not(path)
        if reason:
            raise RunError(
                f"{path} cannot be resumed from: {reason}",
                "to start a new run from its weights, name it as adapter_name_or_path or model_name_or_path",
            )
        return _read(path), []
    return newest, rejected


def _newest(run: RunDir) -> tuple[Restored | None, list[tuple[Path, str]]]:
    rejected: list[tuple[Path, str]] = []
    for path in reversed(run.checkpoints):
        reason = _why_not(path)
        if not reason:
            return _read(path), rejected
        rejected.append((path, reason))
    return None, rejected


def _why_not(path: Path) -> str:
    if not path.is_dir():
        return "there is no such folder"
    verdict = manifest.verify(path)
    if not verdict.valid:
        return verdict.reason
    missing = [name for name in _NEEDED if not (path / name).is_file()]
    if missing:
        return f"it was saved without {', '.join(missing)} (save_only_model), so training cannot go on exactly"
    return ""


def _read(path: Path) -> Restored:
    return Restored(path, manifest.read(path).step, orjson.loads((path / OWN).read_bytes()))
