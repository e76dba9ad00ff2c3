"""JSON for the files of a run: every float survives, every string can be written, every record is checked when read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from os import PathLike, fspath
from types import NoneType, UnionType
from typing import Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import orjson

T = TypeVar("T")

# JSON has no words for these; a reader that turned them into null would hide a diverged run.
NOT_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_known_hints: dict[type, dict[str, object]] = {}


def pack(value: object) -> bytes:
    """Return `value` as JSON without a line break; NaN and the infinities become strings."""
    return orjson.dumps(plain(value))


def plain(value: object) -> object:
    """Return `value` made of what JSON knows; zero-dimensional arrays become numbers, paths become strings.

    Raises TypeError for what has no such form.
    """
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else _name(value)
    if isinstance(value, str):
        return _writable(value)
    if isinstance(value, Mapping):
        return {_writable(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, PathLike):
        return _writable(str(fspath(value)))
    item = getattr(value, "item", None)
    if callable(item):
        return plain(item())
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")


def record(item: object) -> dict[str, object]:
    """Return the fields of a dataclass by name, without copying them."""
    return {field.name: getattr(item, field.name) for field in fields(item)}  # type: ignore[arg-type]


def restore(cls: type[T], values: Mapping[str, object]) -> T:
    """Build the dataclass `cls` from a record; unknown names are ignored, missing ones take their defaults.

    Raises ValueError when a value has the wrong type or a needed one is missing.
    """
    known = {name: convert(hint, values[name]) for name, hint in _hints(cls).items() if name in values}
    try:
        return cls(**known)
    except TypeError as error:
        raise ValueError(str(error)) from error


def _hints(cls: type) -> dict[str, object]:
    if cls not in _known_hints:
        names = {field.name for field in fields(cls)}
        _known_hints[cls] = {name: hint for name, hint in get_type_hints(cls).items() if name in names}
    return _known_hints[cls]


def convert(hint: object, value: object) -> object:
    """Return a JSON `value` as the type `hint`; raises ValueError when it is not one."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _convert_any(arguments, value)
    if hint is object:
        return value
    if hint is float:
        return _convert_float(value)
    if origin is dict and isinstance(value, dict):
        return {str(key): convert(arguments[1], item) for key, item in value.items()}
    if origin in (list, tuple) and isinstance(value, list):
        items = (convert(arguments[0], item) for item in value)
        return tuple(items) if origin is tuple else list(items)
    # A newer version may know more words than this one: any string will do.
    if origin is Literal and isinstance(value, str):
        return value
    if isinstance(hint, type) and type(value) is hint:
        return value
    raise ValueError(f"{value!r:.80} is not {getattr(hint, '__name__', hint)}")


def _convert_any(hints: tuple[object, ...], value: object) -> object:
    if value is None and NoneType in hints:
        return None
    # The exact type first: 50 among floats and whole numbers stays 50.
    if type(value) in hints:
        return value
    for hint in hints:
        if hint is not NoneType:
            try:
                return convert(hint, value)
            except ValueError:
                continue
    raise ValueError(f"{value!r:.80} is none of {', '.join(str(hint) for hint in hints)}")


def _convert_float(value: object) -> float:
    if isinstance(value, str) and value in NOT_NUMBERS:
        return NOT_NUMBERS[value]
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise ValueError(f"{value!r:.80} is not a number")


def _name(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _writable(text: str) -> str:
    # File names may hold bytes that are no UTF-8; Python keeps them as lone surrogates, which orjson refuses.
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode("utf-8")
