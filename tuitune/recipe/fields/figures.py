"""The figures that an evaluation of each stage reports: what `metric_for_best_model` can name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuitune.recipe.fields.online import ONLINE
from tuitune.recipe.fields.preference import PAIRED

if TYPE_CHECKING:
    from tuitune.recipe.recipe import Recipe

LOSS, ACCURACY = "loss", "accuracy"
LIKENESS = ("exact_match", "bleu-4", "rouge-1", "rouge-2", "rouge-l")  # with predict_with_generate
_REWARDS = ("rewards/chosen", "rewards/rejected", "rewards/margins")
_LOGPS = ("logps/chosen", "logps/rejected")
_JUDGED = (*_REWARDS, "rewards/accuracies")
_ANSWERED = ("reward", "kl", "entropy", "completions/mean_length", "completions/clipped_ratio")
# Beside the loss and, where it is asked for, the accuracy.
FIGURES: dict[str, tuple[str, ...]] = {
    "pt": (),
    "sft": (),
    "rm": _JUDGED,
    **dict.fromkeys(PAIRED, (*_JUDGED, *_LOGPS)),
    "kto": (*_REWARDS, *_LOGPS, "kl"),
    **dict.fromkeys(ONLINE, _ANSWERED),
}
_OWN_REWARDS = "rewards/"  # of an online stage, by the names of its reward functions: `rewards/exact/mean`
LESS_IS_BETTER = (LOSS, "kl", "completions/clipped_ratio")


def bare(name: str) -> str:
    """Return a figure's name without the `eval_` that the trainer puts before it."""
    return name.removeprefix("eval_")


def reports(recipe: Recipe, name: str) -> bool:
    """Whether an evaluation of the recipe's stage reports the figure called `name`, if all that it needs is asked."""
    stage, figure = recipe.stage, bare(name)
    if figure == LOSS or figure in FIGURES[stage]:
        return True
    if stage in ONLINE:
        return figure.startswith(_OWN_REWARDS)
    return figure == ACCURACY or (stage == "sft" and figure in LIKENESS)


def greater_is_better(recipe: Recipe) -> bool | None:
    """Return the recipe's word on it, else what holds for the figure; None where the figure is the loss."""
    if recipe.greater_is_better is not None or recipe.metric_for_best_model is None:
        return recipe.greater_is_better
    return bare(recipe.metric_for_best_model) not in LESS_IS_BETTER


def known(stage: str) -> str:
    """Return in words what can be named for a stage."""
    more = [*FIGURES[stage]] + ([] if stage in ONLINE else [f"{ACCURACY} (compute_accuracy)"])
    more += [f"{name} (predict_with_generate)" for name in LIKENESS] if stage == "sft" else []
    return ", ".join((LOSS, *more))
