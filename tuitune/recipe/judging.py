"""What a recipe must agree in when a model's own answers are sampled and judged (ppo, grpo, rloo)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuitune.recipe.option import Rule

if TYPE_CHECKING:
    from tuitune.recipe.recipe import Recipe

_STAGES = ("ppo", "grpo", "rloo")
_ADDRESS = ("http://", "https://")


def _judged_by(recipe: Recipe, *kinds: str) -> bool:
    return recipe.stage in _STAGES and bool(recipe.reward_model) and recipe.reward_model_type in kinds


def _is_address(recipe: Recipe) -> bool:
    return (recipe.reward_model or "").startswith(_ADDRESS)


def _unjudged(recipe: Recipe) -> bool:
    return recipe.stage in _STAGES and not (recipe.reward_model or recipe.reward_functions or recipe.reward_file)


RULES = (
    Rule(
        ("stage", "reward_model", "reward_functions", "reward_file"),
        _unjudged,
        "learns from rewards, and nothing says what an answer is worth",
        "set reward_model (of stage rm), reward_functions, such as exact, or reward_file",
    ),
    Rule(
        ("do_sample", "stage"),
        lambda r: r.stage in _STAGES and not r.do_sample,
        "this stage learns from answers that are drawn at random",
        "remove it",
    ),
    Rule(
        ("reward_model_type", "reward_model", "finetuning_type", "stage"),
        lambda r: _judged_by(r, "lora") and r.finetuning_type != "lora",
        "lora, which is what it is unless set, puts the reward model beside the adapter in training, and "
        "finetuning_type is not lora",
        "set reward_model_type: full, which loads the reward model by itself",
    ),
    Rule(
        ("reward_model_type", "reward_model", "pissa_init", "loftq_init"),
        lambda r: _judged_by(r, "lora") and (r.pissa_init or r.loftq_init),
        "lora puts the reward model on the weights in training, of which pissa_init or loftq_init takes a part",
        "set reward_model_type: full",
    ),
    Rule(
        ("reward_model", "reward_model_type"),
        lambda r: _judged_by(r, "api") and not _is_address(r),
        "is no address of a server",
        "begin it with http:// or https://, or set reward_model_type: full or lora for a folder",
    ),
    Rule(
        ("reward_model_type", "reward_model"),
        lambda r: _judged_by(r, "lora", "full") and _is_address(r),
        "reward_model is the address of a server",
        "set reward_model_type: api",
    ),
    Rule(
        ("reward_model_adapters", "reward_model_type"),
        lambda r: bool(r.reward_model_adapters) and _judged_by(r, "lora", "api"),
        "names adapters of a whole reward model",
        "set reward_model_type: full, or remove it",
    ),
    Rule(
        ("reward_model_quantization_bit", "reward_model_type"),
        lambda r: r.reward_model_quantization_bit is not None and _judged_by(r, "lora", "api"),
        "is for a whole reward model; an adapter judges on the weights in training as they are",
        "set reward_model_type: full, or remove it",
    ),
    Rule(
        ("reward_model_quantization_bit",),
        lambda r: r.reward_model_quantization_bit not in (None, 4, 8),
        "must be 4 or 8",
        "4 needs least memory, 8 is closer to the model",
    ),
    Rule(
        ("shift_attn", "stage"),
        lambda r: r.stage == "ppo" and r.shift_attn,
        "answers are given with full attention, and with another one their probabilities would be others",
        "remove it",
    ),
)
