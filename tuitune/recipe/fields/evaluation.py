"""When the model is evaluated, and what follows from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from tuitune.recipe.fields.figures import ACCURACY, FIGURES, LIKENESS, bare, known, reports
from tuitune.recipe.fields.logging import Strategy
from tuitune.recipe.fields.online import ONLINE
from tuitune.recipe.option import Options, Rule, When, option
from tuitune.recipe.shapes import Flag, Share, Text, Whole

if TYPE_CHECKING:
    from tuitune.recipe.recipe import Recipe

_EVALUATED = When("eval_strategy", ("steps", "epoch"))


class EvaluationOptions(Options):
    """Evaluation while training, the best checkpoint, and stopping early."""

    GROUP: ClassVar[str] = "evaluation"

    eval_strategy: Strategy = option("no", "Evaluate every few steps, after each epoch, or not at all.", essential=True)
    eval_steps: Share | None = option(
        None,
        "Evaluate after so many optimizer steps, or this share of all steps when below 1. Unset, as often as "
        "logging_steps.",
        unit="steps or share",
        gt=0,
        when=When("eval_strategy", ("steps",)),
        essential=True,
    )
    load_best_model_at_end: Flag = option(False, "Finish with the best checkpoint's weights instead of the last ones.")
    metric_for_best_model: Text | None = option(
        None,
        "What the best checkpoint is best in: `loss` (unset), `accuracy` with compute_accuracy, or a figure of the "
        "stage, such as `rewards/accuracies` of rm and dpo or `reward` of grpo.",
    )
    greater_is_better: Flag | None = option(
        None, "Whether more of metric_for_best_model is better. Unset, false for loss and KL and true for all others."
    )
    early_stopping_steps: Whole | None = option(
        None, "Stop after so many evaluations without a better one.", unit="evaluations", ge=1
    )
    compute_accuracy: Flag = option(False, "Also report the share of tokens predicted right.", when=_EVALUATED)
    predict_with_generate: Flag = option(
        False,
        "Also let the model answer the held-out prompts at every evaluation, and compare with the data's answers.",
        when=(_EVALUATED, When("stage", ("sft",))),
    )


def _not_multiple(recipe: Recipe) -> bool:
    every = recipe.eval_steps or recipe.logging_steps
    if not recipe.load_best_model_at_end or (recipe.eval_strategy, recipe.save_strategy) != ("steps", "steps"):
        return False
    if (every < 1) != (recipe.save_steps < 1):
        return True
    times = recipe.save_steps / every
    return abs(times - round(times)) > 1e-6 or round(times) < 1


_EVALUATE = "set eval_strategy: steps or epoch, with val_size or eval_dataset"

RULES = (
    Rule(
        ("eval_strategy", "val_size", "eval_dataset"),
        lambda r: r.eval_strategy != "no" and not r.val_size and not r.eval_dataset,
        "evaluation needs rows that are not trained on",
        "set val_size: 0.1, or name an eval_dataset",
    ),
    Rule(
        ("val_size", "eval_dataset", "eval_strategy"),
        lambda r: r.eval_strategy == "no" and (r.val_size > 0 or bool(r.eval_dataset)),
        "sets rows apart for `tuitune evaluate` only: eval_strategy is no",
        "eval_strategy: steps or epoch also measures while it trains",
        level="warning",
    ),
    Rule(
        ("load_best_model_at_end", "eval_strategy"),
        lambda r: r.load_best_model_at_end and r.eval_strategy == "no",
        "the best checkpoint is found by evaluation, and nothing is evaluated",
        _EVALUATE,
    ),
    Rule(
        ("load_best_model_at_end", "save_strategy", "eval_strategy"),
        lambda r: (
            r.load_best_model_at_end and r.eval_strategy != "no" and r.save_strategy not in ("best", r.eval_strategy)
        ),
        "checkpoints must be saved when the model is evaluated: save_strategy and eval_strategy differ",
        "give both the same value, or set save_strategy: best",
    ),
    Rule(
        ("load_best_model_at_end", "save_steps", "eval_steps", "logging_steps"),
        _not_multiple,
        "each checkpoint must have been evaluated: save_steps is not a multiple of eval_steps",
        "give both the same value",
    ),
    Rule(
        ("metric_for_best_model", "compute_accuracy", "stage"),
        lambda r: bare(r.metric_for_best_model or "") == ACCURACY and r.stage not in ONLINE and not r.compute_accuracy,
        "accuracy is not computed",
        "set compute_accuracy: true",
    ),
    Rule(
        ("metric_for_best_model", "predict_with_generate", "stage"),
        lambda r: r.stage == "sft" and bare(r.metric_for_best_model or "") in LIKENESS and not r.predict_with_generate,
        "compares answers with the data's, and none are asked for",
        "set predict_with_generate: true",
    ),
    Rule(
        ("predict_with_generate", "train_on_prompt", "stage"),
        lambda r: r.stage == "sft" and r.predict_with_generate and r.train_on_prompt,
        "the prompts end where the learnt tokens begin, and with train_on_prompt all tokens are learnt",
        "leave one of the two out",
    ),
    *(
        Rule(
            ("metric_for_best_model", "stage"),
            lambda r, stage=stage: (  # type: ignore[misc]
                r.stage == stage and r.metric_for_best_model is not None and not reports(r, r.metric_for_best_model)
            ),
            f"is not a figure that an evaluation of stage {stage} reports",
            f"use one of {known(stage)}",
        )
        for stage in FIGURES
    ),
    Rule(
        ("early_stopping_steps", "eval_strategy"),
        lambda r: r.early_stopping_steps is not None and r.eval_strategy == "no",
        "stopping early follows the evaluation, and nothing is evaluated",
        _EVALUATE,
    ),
    Rule(
        ("early_stopping_steps", "load_best_model_at_end", "metric_for_best_model"),
        lambda r: (
            r.early_stopping_steps is not None and r.metric_for_best_model is None and not r.load_best_model_at_end
        ),
        "stopping early needs to know what better means",
        "set metric_for_best_model: loss, or load_best_model_at_end: true",
    ),
    Rule(
        ("load_best_model_at_end", "metric_for_best_model", "stage"),
        lambda r: (
            r.stage in ("grpo", "rloo")
            and (r.load_best_model_at_end or r.early_stopping_steps is not None)
            and r.metric_for_best_model in (None, "loss", "eval_loss")
        ),
        "the loss of grpo and rloo says nothing about which model is better",
        "set metric_for_best_model: reward",
    ),
)
