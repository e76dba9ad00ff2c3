"""Values, ranges and notes of the recipe form in words: as the recipe writes them, short, and in one line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from decimal import Decimal

from pydantic_core import PydanticCustomError

from tuitune.recipe import FIELDS, Field, Range, Recipe
from tuitune.recipe.foreign import is_secret
from tuitune.recipe.option import Purpose
from tuitune.recipe.problems import shown
from tuitune.recipe.shapes import as_flag
from tuitune.recipe.yamltext import dump
from tuitune.text import clean_line

_LONGEST = 400  # a longer value is not read in a form
# What stands in for a value that is left to TuiTune; everything else that is not given reads "not set".
UNSET: Mapping[str, str] = {
    "adapter_name_or_path": "none",
    "badam_start_block": "the order decides",
    "additional_target": "none",
    "cache_dir": "the usual one",
    "data_seed": "as seed",
    "dataset": "missing",
    "default_system": "the template's",
    "early_stopping_steps": "off",
    "encoder_hidden_size": "the model's",
    "eval_dataset": "none",
    "eval_steps": "as logging_steps",
    "expand_blocks": "none",
    "export_adapter_weights": "all of each",
    "export_hub_model_id": "not pushed",
    "export_quantization_bit": "off",
    "export_quantization_dataset": "none",
    "freeze_extra_modules": "none",
    "gradient_checkpointing": "when needed",
    "greater_is_better": "by the metric",
    "loraplus_lr_ratio": "off",
    "logging_dir": "in the run's folder",
    "lr_scheduler_kwargs": "none",
    "max_samples": "all",
    "metric_for_best_model": "loss",
    "mixture_of_depths": "off",
    "model_name_or_path": "missing",
    "neftune_noise_alpha": "off",
    "optim_args": "none",
    "output_dir": "a new folder",
    "project": "tuitune",
    "prompt_tuning_init_text": "at random",
    "quantization_bit": "off",
    "report_to": "none",
    "resume_from_checkpoint": "none",
    "rope_scaling": "off",
    "run_name": "none",
    "save_total_limit": "all",
    "shift_attn_group": "a quarter of a row",
    "task": "none",
    "template": "the model's own",
    "tf32": "torch decides",
    "threads": "all cores",
    "tokens_per_batch": "memory decides",
}

# What a command takes where neither the user nor the run says anything, if that is not the recipe's default.
LEFT: Mapping[Purpose, Mapping[str, str]] = {"evaluate": {"max_new_tokens": "twice the data's"}}

# What the choices of a field are, in a few words for a list.
CHOICES: Mapping[str, Mapping[str, str]] = {
    "finetuning_type": {
        "lora": "small matrices beside frozen layers",
        "full": "every weight",
        "freeze": "a few layers",
        "oft": "rotations of what goes into layers",
        "adalora": "LoRA that shares out its ranks",
        "vera": "two vectors a layer, shared matrices",
        "ia3": "one scale for each output",
        "loha": "Hadamard products of low rank",
        "lokr": "Kronecker products",
        "prompt_tuning": "learnt vectors before the text",
        "p_tuning": "such vectors from a small network",
        "prefix_tuning": "learnt keys and values",
        "bottleneck": "narrow layers inside the layers",
    },
    "galore_proj_type": {
        "std": "the longer side is shortened",
        "reverse_std": "the shorter side",
        "right": "the right side",
        "left": "the left side",
        "full": "both sides",
    },
    "badam_mode": {"layer": "one layer at a time", "ratio": "a share of every matrix"},
    "badam_switch_mode": {
        "ascending": "from the first layer",
        "descending": "from the last layer",
        "random": "all before any comes again",
        "fixed": "always the same one",
    },
    "quantization_method": {"bnb": "bitsandbytes", "hqq": "half-quadratic"},
    "quantization_type": {"nf4": "evenly likely numbers", "fp4": "a tiny float"},
    "rope_scaling": {
        "linear": "all positions closer",
        "dynamic": "closer as texts grow",
        "yarn": "fast turns stay, slow ones stretch",
        "llama3": "as Llama 3.1 does",
    },
    "swanlab_mode": {"cloud": "its servers", "local": "here, to be watched", "offline": "here, to be sent later"},
    "mixture_of_depths": {"convert": "make such a model", "load": "it is one already"},
}


def number_words(value: float) -> str:
    """Return a number as a recipe writes it: 16, 0.05, 5.5e-4."""
    if isinstance(value, int):
        # Python refuses to write very large numbers out, and nobody reads them.
        return str(value) if abs(value) < 10**30 else "a huge number"
    if not math.isfinite(value):
        return str(value)
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if abs(value) >= 1e-3:
        return repr(value)
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    assert isinstance(exponent, int)
    rest = "".join(map(str, digits[1:])) or "0"
    return f"{'-' * sign}{digits[0]}.{rest}e{exponent + len(digits) - 1}"


def flag_of(value: object) -> bool | None:
    """Return a flag however it is spelled; None for what is none."""
    try:
        return as_flag(value)
    except PydanticCustomError:
        return None


def value_words(key: str, value: object) -> str:
    """Return a raw value of a recipe, on one line and harmless."""
    field = FIELDS.get(key)
    if field is None and is_secret(key):
        return "hidden"
    if field is not None and field.kind == "flag" and (flag := flag_of(value)) is not None:
        return "on" if flag else "off"
    if value is None or value == "" or value == () or value == []:
        return UNSET.get(key, "not set")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return number_words(value)
    if isinstance(value, list | tuple) and all(isinstance(item, str | int | float) for item in value):
        return clean_line(", ".join(str(item) for item in value)[:_LONGEST])
    if isinstance(value, dict) and field is not None and field.kind == "settings":
        return _settings_words(value)
    return clean_line(value[:_LONGEST]) if isinstance(value, str) else shown(value)


def _settings_words(value: dict[object, object]) -> str:
    pairs = (f"{name}: {value_words('', item)}" for name, item in value.items())
    return clean_line(f"{{{', '.join(pairs)}}}"[:_LONGEST])


def written(key: str, value: object) -> str:
    """Return a raw value as the text that an editor begins with."""
    field = FIELDS.get(key)
    if value is None or (field is None and is_secret(key)):
        return ""
    if isinstance(value, str):
        # What does not survive on one line is written with escapes, so that an edit elsewhere in it loses nothing.
        return value if value == clean_line(value) else json.dumps(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return number_words(value)
    plain = isinstance(value, list | tuple) and all(isinstance(item, str) and "," not in item for item in value)
    if plain and isinstance(value, list | tuple) and field is not None and field.kind == "names":
        return ", ".join(value)
    return dump(value)


def range_words(field: Field) -> str:
    """Return what a field takes, in a few words."""
    if field.choices:
        return f"one of {len(field.choices)}" if len(field.choices) > 3 else " or ".join(field.choices)
    if field.kind == "flag":
        return "on or off"
    if field.range:
        return _between(field.range)
    kinds = {
        "names": "names, with commas",
        "text": "a text",
        "settings": "{name: value, ...}",
        "whole": "a whole number",
    }
    return kinds.get(field.kind, "a number")


def _between(limits: Range) -> str:
    if limits.low is None or limits.high is None or limits.low_open or limits.high_open:
        return limits.words()
    return f"{number_words(limits.low)} to {number_words(limits.high)}"


def note_words(field: Field, value: object, recipe: Recipe) -> str:
    """Return the note behind a value: what it comes to, or what it counts."""
    match field.name:
        case "lora_alpha":
            times = recipe.alpha / recipe.lora_rank
            return f"= {times:g} × rank" if times.is_integer() or times == 0.5 else ""
        case "gradient_accumulation_steps":
            return f"= {recipe.rows_per_step} rows"
        case "max_steps" if recipe.max_steps < 0:
            return "by epochs"
    if field.kind == "share" and " or " in field.unit:
        return _share_note(field, value)
    return field.unit


def _share_note(field: Field, value: object) -> str:
    """Name what the number is: a count, or a share of the same."""
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else 0
    counted = next(word for word in field.unit.split(" or ") if word != "share")
    if number <= 0:
        return ""
    return counted if number >= 1 else f"of all {counted}"
