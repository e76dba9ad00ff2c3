"""How the rows of a run go through its model: which way, beside which reference, in how large parts."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuitune.engine.plan import Plan, settle
from tuitune.engine.reference import Trained, reference_of
from tuitune.engine.room import warn_of_little
from tuitune.engine.step import Stepper
from tuitune.models import paths
from tuitune.recipe import resolved
from tuitune.recipe.fields.structure import group_size
from tuitune.run.files import write_atomic

if TYPE_CHECKING:
    from tuitune.data import Prepared
    from tuitune.engine.trainer import StepTrainer
    from tuitune.models.paths import Path as ModelPath


@dataclass(frozen=True)
class _Lengths:
    """Tokens of the longest sequence, and of the longest example: a prompt with all its answers."""

    sequence: int
    example: int

    @classmethod
    def of(cls, trainer: StepTrainer, data: Prepared) -> _Lengths:
        held = [rows for rows in (data.train, data.evaluation) if rows is not None]
        longest = trainer.stage.longer_by + max(rows.longest for rows in held)
        # What kto looks at beside an answer goes through the model by itself, without a gradient.
        if trainer.recipe.stage == "kto":
            return cls(longest, longest)
        return cls(longest, trainer.stage.longer_by + max(rows.largest for rows in held))


def settle_forward(trainer: StepTrainer, model: Any, folder: Path, data: Prepared) -> None:
    """Settle way, reference, plan and stepper of a trainer, and write the values in force; folder: the model's."""
    session, recipe = trainer.session, trainer.recipe
    lengths = _Lengths.of(trainer, data)
    with trainer.precision():
        path, why = _way(trainer, model, lengths.sequence)
        if trainer.stage.needs_reference:
            trainer.stage.reference = reference_of(
                Trained(
                    model, folder, recipe, trainer.plan, trainer.processing_class, lengths.sequence,
                    trainer.precision, session,
                )
            )  # fmt: skip
    if why:
        session.warn(f"rows are padded for this model: {why}", "same gradient, more work")
    trainer.model_path, trainer.plan = path, _whole_plan(trainer, model, folder, lengths.example, path.name)
    warn_of_little(session, recipe, model, folder)
    trainer.stepper = _stepper(trainer, model, path)
    if trainer.plan.recompute:
        turn_on_recomputation(model)
    plan = "".join(f"#   {k}: {v}\n" for k, v in trainer.plan.to_dict().items())
    write_atomic(session.run.resolved, f"{resolved(recipe)}\n# plan\n{plan}".encode())


def _way(trainer: StepTrainer, model: Any, longest: int) -> tuple[ModelPath, str]:
    """Return the way of the rows, and why they are padded where they are."""
    recipe, method, pad = trainer.recipe, trainer.method, trainer.processing_class.pad_token_id or 0
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    return method.path(model, recipe, pad) or paths.choose(
        base, longest=longest, pad=pad, dropout=method.noise(recipe), autocast=trainer.plan.autocast_dtype,
        kernel=recipe.flash_attn == "auto", group=group_size(recipe), neftune=recipe.neftune_noise_alpha or 0.0,
    )  # fmt: skip


def _whole_plan(trainer: StepTrainer, model: Any, folder: Path, largest: int, path: str) -> Plan:
    """Return the plan with what only the loaded model tells; that of a checkpoint is whole already."""
    if trainer.plan.tokens_per_batch:
        return trainer.plan
    plan, tight = settle(trainer.plan, trainer.recipe, model, folder, longest=largest, path=path)
    if tight:
        trainer.session.warn(tight, "lower cutoff_len, choose a smaller model, or free memory on the device")
    return plan


def _stepper(trainer: StepTrainer, model: Any, path: ModelPath) -> Stepper:
    may_recompute = not trainer.plan.recompute and trainer.recipe.recompute is not False
    return Stepper(
        trainer.stage, path, trainer.accelerator, tokens_per_batch=trainer.plan.tokens_per_batch,
        before_part=lambda: trainer.controls.attend(trainer), warn=trainer.session.warn,
        penalty=trainer.method.penalty, recompute=(lambda: turn_on_recomputation(model)) if may_recompute else None,
    )  # fmt: skip


def turn_on_recomputation(model: Any) -> None:
    """Compute activations again in the backward pass instead of keeping them."""
    model.activation_checkpointing_enable(activation_checkpointing_kwargs={"use_reentrant": False})
    # Without it no gradient reaches adapters below a frozen embedding.
    model.enable_input_require_grads()
