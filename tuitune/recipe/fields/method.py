"""What is learnt from a row (the stage) and which weights learn it (the method)."""

from __future__ import annotations

from typing import ClassVar, Literal

from tuitune.recipe.option import Options, Rule, option
from tuitune.recipe.shapes import Flag

_STAGES = ("pt", "rm", "ppo", "dpo", "kto", "orpo", "simpo", "grpo", "rloo")
_METHODS = ("freeze", "oft")


class MethodOptions(Options):
    """The stage and the tuning method."""

    GROUP: ClassVar[str] = "method"

    stage: Literal["sft"] = option(
        "sft",
        "What the model learns from: `sft` is supervised fine-tuning on prompts with answers.",
        planned=dict.fromkeys(_STAGES, "use sft for now"),
    )
    do_train: Flag = option(
        True,
        "Train. A recipe is for training, so this is the default here; LLaMA-Factory wants it said.",
        planned={False: "a recipe without training (evaluate, predict) comes later; remove the key"},
    )
    finetuning_type: Literal["lora", "full"] = option(
        "lora",
        "Which weights learn: `lora` trains small adapters beside frozen weights, `full` trains every weight.",
        planned=dict.fromkeys(_METHODS, "use lora or full for now"),
        essential=True,
    )


RULES: tuple[Rule, ...] = ()
