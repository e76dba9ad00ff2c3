"""Keys of LLaMA-Factory and transformers that are not fields of a recipe, and what is said about each.

Nothing is ignored: a key is read under its newer name, refused by name because its feature is not built yet, accepted
with a word on why it has no effect, or refused because it is a secret. Values that ask for nothing pass silently.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tuitune.recipe.foreign.llamafactory import ABSENT as _ABSENT_LLAMAFACTORY
from tuitune.recipe.foreign.llamafactory import INERT as _INERT_LLAMAFACTORY
from tuitune.recipe.foreign.transformers import ABSENT as _ABSENT_TRANSFORMERS
from tuitune.recipe.foreign.transformers import INERT as _INERT_TRANSFORMERS
from tuitune.recipe.shapes import as_flag

_SECRET = re.compile(r"(^|_)(token|api_key|secret|password|webhook_url)$")
_NOTHING: tuple[object, ...] = (None, "", "none", "null", [], {}, ())


@dataclass(frozen=True, slots=True)
class Renamed:
    """An older or foreign name of a field; `read` turns its value into the field's, None meaning not given."""

    key: str
    read: Callable[[object], object] = lambda value: value


def _cpu(value: object) -> object:
    return "cpu" if as_flag(value) else None


RENAMED: dict[str, Renamed] = {
    "evaluation_strategy": Renamed("eval_strategy"),
    "per_gpu_train_batch_size": Renamed("per_device_train_batch_size"),
    "per_gpu_eval_batch_size": Renamed("per_device_eval_batch_size"),
    "activation_checkpointing": Renamed("gradient_checkpointing"),
    "max_seq_length": Renamed("cutoff_len"),
    "checkpoint_dir": Renamed("adapter_name_or_path"),
    "num_layer_trainable": Renamed("freeze_trainable_layers"),
    "name_module_trainable": Renamed("freeze_trainable_modules"),
    "neft_alpha": Renamed("neftune_noise_alpha"),
    "use_cpu": Renamed("device", _cpu),
    "no_cuda": Renamed("device", _cpu),
}

# key -> (feature, values that ask for nothing)
ABSENT: dict[str, tuple[str, tuple[object, ...]]] = {
    key: (feature, default if isinstance(default, tuple) else (default,))
    for feature, keys in (*_ABSENT_LLAMAFACTORY.items(), *_ABSENT_TRANSFORMERS.items())
    for key, default in keys.items()
}

# key -> (why it has no effect, value that asks for nothing)
INERT: dict[str, tuple[str, object]] = {
    key: (why, default)
    for why, keys in (*_INERT_LLAMAFACTORY.items(), *_INERT_TRANSFORMERS.items())
    for key, default in keys.items()
}


def is_secret(key: str) -> bool:
    """Return whether a key would put a secret into a file that is copied and shared."""
    return _SECRET.search(key.lower()) is not None


def asks_nothing(value: object, defaults: tuple[object, ...]) -> bool:
    """Return whether a value of a foreign key leaves its feature off."""
    if value in _NOTHING or any(_same(value, default) for default in defaults):
        return True
    # `false` switches off what is off by default, but is a wish where the default is true.
    return value is False and not any(default is True for default in defaults)


def _same(value: object, default: object) -> bool:
    if not isinstance(value, str | int | float):
        return value == default
    if isinstance(value, bool) or isinstance(default, bool):
        return str(value).lower() == str(default).lower()
    try:
        return float(str(value)) == float(str(default))
    except ValueError:
        return value == default
