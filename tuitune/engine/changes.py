"""A resume with another recipe: what cannot change in the middle of a run, what is applied, and what follows by itself.

Imports no torch, so that the command line can refuse before anything is loaded.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuitune.errors import RecipeError
from tuitune.recipe import FIELDS, Problem, Recipe
from tuitune.recipe.fields.structure import group_size

# What a checkpoint's weights and optimizer states are made for: the declarations say it of each key.
FIXED = tuple(name for name, field in FIELDS.items() if field.fixed)
# Fixed where the model's positions are stretched to reach it.
STRETCHING = "cutoff_len"
# A scheduler's saved state belongs to its kind.
_FOLLOWING = ("reduce_lr_on_plateau", "greedy")
# The saved optimizer brings its old values of these; they are set again from the recipe.
OPTIMIZER = ("weight_decay", "adam_beta1", "adam_beta2", "adam_epsilon", "optim_args")
# What the plan in a checkpoint was made from.
PLANNED = (
    "device", "threads", "tokens_per_batch", "gradient_checkpointing", "disable_gradient_checkpointing", "bf16", "fp16",
)  # fmt: skip


def remembered(recipe: Recipe) -> dict[str, Any]:
    """Return what a checkpoint must know of its recipe, as JSON values."""
    keys = (*FIXED, *OPTIMIZER, *PLANNED, "learning_rate", "lr_scheduler_type")
    found = {key: _plain(getattr(recipe, key)) for key in keys} | {
        "model_name_or_path": _place(recipe.model_name_or_path),
        "adapter_name_or_path": [_place(name) for name in recipe.adapter_name_or_path],
        "shift_attn_group": group_size(recipe) or None,
    }
    # How far positions are stretched follows from it.
    return found | {STRETCHING: recipe.cutoff_len} if recipe.rope_scaling else found


def changed(former: Mapping[str, Any], recipe: Recipe) -> dict[str, tuple[Any, Any]]:
    """Return the remembered keys whose value is another one now, with both values."""
    now = remembered(recipe)
    return {key: (value, now[key]) for key, value in former.items() if key in now and now[key] != value}


def refuse_impossible(former: Mapping[str, Any], recipe: Recipe) -> None:
    """Raise RecipeError, naming every key that cannot change in the middle of a run."""
    problems = []
    for key, (before, after) in changed(former, recipe).items():
        family = key == "lr_scheduler_type" and (before in _FOLLOWING or after in _FOLLOWING)
        if key in (*FIXED, STRETCHING) or family:
            reason = f"it was {_word(before)} when this run began and cannot change in the middle of it"
            problems.append(Problem(key, after, reason, _HINT))
    if problems:
        raise RecipeError(problems, "the recipe of the resumed run")


_HINT = "start a new run; adapter_name_or_path (or model_name_or_path) takes this run's weights as its beginning"


def _place(name: str) -> str:
    # The same folder has another relative name elsewhere.
    path = Path(name).expanduser()
    return str(path.resolve()) if path.exists() else name


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()  # as a recipe writes it
    return ", ".join(map(str, value)) if isinstance(value, list) else "unset" if value is None else str(value)
