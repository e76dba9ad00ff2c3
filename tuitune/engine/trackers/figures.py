"""The journal's figures and a recipe's values, named as transformers names them at trackers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tuitune.recipe import FIELDS, Recipe
from tuitune.run.events import EvalLogged, StepLogged

_IN_ADDRESS = re.compile(r"(?<=://)[^/@\s]+(?=@)")
_STEP = ("epoch", "loss", "learning_rate", "grad_norm", "tokens_per_second", "step_seconds")


def of_step(event: StepLogged) -> dict[str, float]:
    """Return the figures of a logged step: train/loss, train/learning_rate, the stage's own, memory in bytes."""
    plain = {name: getattr(event, name) for name in _STEP}
    found = {f"train/{name}": float(value) for name, value in plain.items() if value is not None}
    found |= {f"train/{name}": float(value) for name, value in event.metrics.items()}
    return found | {f"memory/{name}": float(value) for name, value in event.memory.items()}


def of_evaluation(event: EvalLogged) -> dict[str, float]:
    """Return the figures of an evaluation: eval/loss and the others."""
    found = {"eval/loss": float(event.loss), "eval/seconds": float(event.seconds)}
    return found | {f"eval/{name.removeprefix('eval_')}": float(value) for name, value in event.metrics.items()}


def config_of(recipe: Recipe) -> dict[str, Any]:
    """Return the values in force of a recipe, which never holds secrets; those in an address are taken out."""
    values: dict[str, object] = {name: getattr(recipe, name) for name in FIELDS}
    told = {
        name: values[name]
        for name, field in FIELDS.items()
        if field.purpose == "train" and not field.inert and field.applies(values) and values[name] not in (None, ())
    }
    return {name: _plain(value) for name, value in told.items()}


def _plain(value: object) -> Any:
    if isinstance(value, str):
        return _IN_ADDRESS.sub("...", value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value
