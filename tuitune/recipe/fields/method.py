"""What is learnt from a row (the stage) and which weights learn it (the method)."""

from __future__ import annotations

from typing import ClassVar, Literal

from tuitune.recipe.option import Options, Rule, When, option
from tuitune.recipe.shapes import Flag, Names

Stage = Literal["sft", "pt", "rm", "dpo", "orpo", "simpo", "kto", "ppo", "grpo", "rloo"]

# The families of methods, for the conditions of keys.
WHOLE = ("full", "freeze")  # change the model's own weights
RANKED = ("lora", "adalora", "vera", "loha", "lokr")  # adapters of a rank beside layers
TARGETED = (*RANKED, "ia3")  # whose layers lora_target names
BESIDE_LAYERS = (*TARGETED, "oft")
PROMPTED = ("prompt_tuning", "p_tuning", "prefix_tuning")  # learn what stands before the text
ADAPTERS = (*BESIDE_LAYERS, *PROMPTED, "bottleneck")  # leave the model's weights as they are

_METHODS = Literal[
    "lora",
    "full",
    "freeze",
    "oft",
    "adalora",
    "vera",
    "ia3",
    "loha",
    "lokr",
    "prompt_tuning",
    "p_tuning",
    "prefix_tuning",
    "bottleneck",
]


class MethodOptions(Options):
    """The stage and the tuning method."""

    GROUP: ClassVar[str] = "method"
    FIXED: ClassVar[bool] = True

    stage: Stage = option(
        "sft",
        "What the model learns from: `sft` prompts with answers, `pt` plain text, `dpo`, `orpo`, `simpo` and `rm` (a "
        "judge) pairs of a better and a worse answer, `kto` answers marked good or bad, `ppo`, `grpo` and `rloo` "
        "rewards for its own.",
        essential=True,
    )
    do_train: Flag = option(
        True,
        "Train. A recipe is for training, so this is the default here; LLaMA-Factory wants it said.",
        planned={False: "a recipe without training (evaluate, predict) comes later; remove the key"},
        fixed=False,
    )
    finetuning_type: _METHODS = option(
        "lora",
        "Which weights learn: `lora` and its kin train small adapters beside frozen weights, `freeze` a few layers, "
        "`full` every weight.",
        essential=True,
    )
    additional_target: Names = option(
        (),
        "Names of further modules that are trained whole and saved with the adapter, with commas.",
        when=When("finetuning_type", BESIDE_LAYERS),
    )
    create_new_adapter: Flag = option(
        False,
        "Merge all adapters of adapter_name_or_path into the model and train a fresh one.",
        when=When("finetuning_type", (*BESIDE_LAYERS, "bottleneck")),
    )


RULES = (
    Rule(
        ("adapter_name_or_path", "finetuning_type"),
        lambda r: bool(r.adapter_name_or_path) and r.finetuning_type not in ADAPTERS,
        "an adapter to start from fits no method that changes the model's own weights",
        "set finetuning_type: lora, or merge the adapter first (tuitune export) and name the result as the model",
    ),
    Rule(
        ("additional_target",),
        lambda r: any(" " in name for name in r.additional_target),
        "a module's name has no spaces",
        "put commas between the names",
    ),
    Rule(
        ("create_new_adapter", "adapter_name_or_path"),
        lambda r: r.create_new_adapter and not r.adapter_name_or_path,
        "has no effect without adapter_name_or_path: the adapter is new anyway",
        "remove it, or name the adapter to merge first",
        level="warning",
    ),
    Rule(
        ("adapter_name_or_path",),
        lambda r: len(r.adapter_name_or_path) > 1 and not r.create_new_adapter,
        "names several adapters: all but the last are merged into the model, the last is trained on",
        level="warning",
        training=True,
    ),
)
