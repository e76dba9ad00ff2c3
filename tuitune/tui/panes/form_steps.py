"""What editing makes of a value: typed texts, toggled flags, the next choice, the next round number."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal

from pydantic_core import PydanticCustomError

from tuitune.errors import RecipeError
from tuitune.recipe import FIELDS, Field, Problem
from tuitune.recipe.check import examine
from tuitune.recipe.option import Purpose
from tuitune.recipe.shapes import as_number
from tuitune.recipe.yamltext import load
from tuitune.tui.panes.form_words import flag_of

# Powers of two are what memory and kernels like, and what one compares.
_DOUBLED = frozenset(
    {
        "lora_rank",
        "lora_alpha",
        "cutoff_len",
        "per_device_train_batch_size",
        "per_device_eval_batch_size",
        "gradient_accumulation_steps",
        "tokens_per_batch",
        "max_new_tokens",
        "quantization_bit",
        "oft_block_size",
        "adalora_init_rank",
        "bottleneck_size",
        "encoder_hidden_size",
        "galore_rank",
        "apollo_rank",
        "shift_attn_group",
    }
)
_RATES = frozenset({"learning_rate", "loraplus_lr_embedding", "adam_epsilon"})
_LARGE = frozenset(
    {"max_steps", "warmup_steps", "save_steps", "eval_steps", "logging_steps", "max_samples"}
    | {"galore_update_interval", "apollo_update_interval", "badam_switch_interval"}
)
# Where a number begins that is not set and has no default: usual values.
_USUAL = {"quantization_bit": 4, "neftune_noise_alpha": 5, "loraplus_lr_ratio": 16, "expand_blocks": 1}


def meant(key: str, text: str) -> object:
    """Return what a typed text means for a key: a number where it is one, a mapping in braces; None when empty."""
    field, text = FIELDS.get(key), text.strip()
    if not text:
        return None
    quoted = len(text) > 1 and text[0] == text[-1] == '"'
    if field is None or field.kind == "settings" or quoted or (field.kind == "names" and text.startswith("[")):
        try:
            return load(text)
        except RecipeError:
            return text
    if field.kind in ("number", "whole", "share"):
        return _number(text)
    return text


def _number(text: str) -> object:
    try:
        number = as_number(text)
    except PydanticCustomError:
        return text
    plain = text.lstrip("+-").isascii() and text.lstrip("+-").isdigit()
    return int(text) if plain and len(text) < 20 else number


def complaint(key: str, value: object, values: Mapping[str, object], purpose: Purpose = "train") -> Problem | None:
    """Return what is wrong with a value in a recipe with these others; errors before warnings."""
    tried = {**values, key: value}
    found = [problem for problem in examine(tried, purpose=purpose)[1] if problem.key == key]
    return min(found, key=lambda problem: problem.level, default=None)


def toggled(field: Field, value: object) -> object:
    """Return the other value of a flag; one that may be left to TuiTune goes round: unset, on, off."""
    flag = flag_of(value)
    if not field.nullable:
        return not (field.default if flag is None else flag)
    return {None: True, True: False, False: None}[flag]


def cycled(field: Field, value: object, step: int) -> str | None:
    """Return the next choice in one direction, round the end; None, where that may be, is one of them."""
    choices = ((None,) if field.nullable else ()) + field.choices
    present = value if value in choices else field.default
    place = next((n for n, each in enumerate(choices) if each == present), 0)
    return choices[(place + step) % len(choices)]


def stepped(field: Field, value: object, direction: int) -> float | None:
    """Return the next sensible number up (1) or down (-1), inside the range; None when there is none."""
    if value is None:
        return _USUAL.get(field.name)
    try:
        number = as_number(value)
    except PydanticCustomError:
        return None
    up = direction > 0
    if field.name == "max_steps" and number + direction in (-2, 0):
        new = 1.0 if up else -1.0  # no steps at all would train nothing
    elif field.name in _RATES:
        new = _round_step(number, up)
    elif field.name in _DOUBLED:
        new = _doubled(number, up)
    elif field.kind == "whole" or (field.kind == "share" and number >= 1):
        new = number + direction * _stride(field, number, up)
    else:
        new = _fine(field, number, up)
    if field.kind == "share" and (number < 1 <= new or new < 1 <= number):
        return None  # a count and a share of all are different things
    return _inside(field, new, number)


def _doubled(number: float, up: bool) -> float:
    """Return the next power of two."""
    if number < 1:
        return 1.0
    exponent = math.log2(number)
    return 2.0 ** (math.floor(exponent) + 1 if up else math.ceil(exponent) - 1)


def _round_step(number: float, up: bool) -> float:
    """Return the next of 1, 2, 5 times a power of ten."""
    if number <= 0:
        return 1e-6
    base = math.floor(math.log10(number)) - 1
    ladder = [float(Decimal(m).scaleb(base + k)) for k in range(4) for m in (1, 2, 5)]
    if up:
        return next(rung for rung in ladder if rung > number * 1.0001)
    return next(rung for rung in reversed(ladder) if rung < number * 0.9999)


def _stride(field: Field, number: float, up: bool) -> float:
    """Return the step of a count: one, or for long counts the power of ten below it."""
    if field.name not in _LARGE or number < 10 or (number == 10 and not up):
        return 1
    power = 10.0 ** math.floor(math.log10(number))
    return power / 10 if number == power and not up else power


def _fine(field: Field, number: float, up: bool) -> float:
    """Return the number one step on."""
    exact = Decimal(repr(float(number)))
    size = _size(field, exact, up)
    return float(exact + size if up else exact - size)


def _size(field: Field, number: Decimal, up: bool) -> Decimal:
    """Return the step from a number in one direction: halves, tenths, twentieths, finer near 0 and a limit of 1."""
    if field.unit == "epochs" or number > 2 or (number == 2 and up):
        return Decimal("0.5")
    if number > 1 or (number == 1 and up):
        return Decimal("0.1")
    # Nearly always and nearly never are worlds: 0.99 and 0.999 differ more than 0.5 and 0.6.
    gap, towards = (1 - number, up) if field.range.high == 1 and number > Decimal("0.5") else (number, not up)
    for edge, finer in (("0.01", "0.001"), ("0.05", "0.01")):
        if (0 < gap < Decimal(edge)) or (gap == Decimal(edge) and towards):
            return Decimal(edge) if finer == "0.001" and number == gap and not field.range.low_open else Decimal(finer)
    return Decimal("0.05") if gap else Decimal("0.01")


def _inside(field: Field, new: float, old: float) -> float | None:
    low, high = field.range.low, field.range.high
    if low is not None and (new < low or (field.range.low_open and new <= low)):
        new = old if field.range.low_open else low
    if high is not None and (new > high or (field.range.high_open and new >= high)):
        new = old if field.range.high_open else high
    if new == old:
        return None
    return int(new) if float(new).is_integer() else new
