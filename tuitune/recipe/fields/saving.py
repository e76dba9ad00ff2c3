"""Checkpoints, and where the run lives."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BeforeValidator

from tuitune.recipe.option import Options, Rule, When, option
from tuitune.recipe.shapes import Flag, Share, Text, Whole, words_for

SaveStrategy = Annotated[Literal["no", "steps", "epoch", "best"], BeforeValidator(words_for({False: "no"}))]
# LLaMA-Factory recipes and older transformers write a boolean for "no".
Checkpoint = Annotated[Text | None, BeforeValidator(words_for({False: None}))]


class SavingOptions(Options):
    """Checkpoints and the run's folder."""

    GROUP: ClassVar[str] = "saving"

    output_dir: Text | None = option(
        None, "Folder of the run. Unset, a new one below TuiTune's own folder, named after time, model and method."
    )
    overwrite_output_dir: Flag = option(
        False, "If output_dir holds a run already, move that aside instead of stopping. Nothing is deleted."
    )
    resume_from_checkpoint: Checkpoint = option(None, "Checkpoint folder to go on from.")
    save_strategy: SaveStrategy = option(
        "steps", "Save a checkpoint every few steps, after each epoch, after each better evaluation, or never."
    )
    save_steps: Share = option(
        500.0,
        "Save after so many optimizer steps, or after this share of all steps when below 1.",
        unit="steps or share",
        gt=0,
        when=When("save_strategy", ("steps",)),
        essential=True,
    )
    save_total_limit: Whole | None = option(None, "Keep only so many checkpoints, the newest and the best.", ge=1)
    save_only_model: Flag = option(
        False, "Leave the optimizer out of checkpoints: smaller, but training cannot go on from them."
    )


RULES = (
    Rule(
        ("save_strategy", "eval_strategy"),
        lambda r: r.save_strategy == "best" and r.eval_strategy == "no",
        "best needs evaluations to compare, and nothing is evaluated",
        "set eval_strategy: steps or epoch, with val_size or eval_dataset",
    ),
    Rule(
        ("resume_from_checkpoint", "overwrite_output_dir"),
        lambda r: r.resume_from_checkpoint is not None and r.overwrite_output_dir,
        "resume_from_checkpoint goes on with a run that overwrite_output_dir would move aside",
        "keep one of them",
    ),
)
