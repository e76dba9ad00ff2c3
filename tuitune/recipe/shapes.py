"""The shapes a value may have, and how YAML, an override or a quoted string becomes one.

Each shape is the Python type plus a reader that pydantic runs first. A reader's complaint is ours, word for word.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_core import PydanticCustomError

from tuitune.recipe.problems import shown

_COUNTS = 2**63  # what files and libraries keep a whole number in
_YES = frozenset({"true", "yes", "on", "1"})
_NO = frozenset({"false", "no", "off", "0"})


@dataclass(frozen=True, slots=True)
class Kind:
    """The name of a shape, kept in the annotation so that forms and the schema can tell them apart."""

    name: str


def wrong(reason: str, hint: str = "") -> PydanticCustomError:
    """Return the error by which a reader refuses a value."""
    return PydanticCustomError("recipe", "{reason}", {"reason": reason, "hint": hint})


def _expected(what: str, value: object, hint: str = "") -> PydanticCustomError:
    if isinstance(value, dict) and not hint:
        hint = "every key of a recipe stands at the top level, with its value on the same line"
    return wrong(f"expected {what}, found {shown(value)}", hint)


def as_flag(value: object) -> bool:
    """Read true or false."""
    if isinstance(value, bool):
        return value
    word = str(value).strip().lower() if isinstance(value, str | int) else ""
    if word in _YES | _NO:
        return word in _YES
    raise _expected("true or false", value)


def as_number(value: object) -> float:
    """Read a finite number; `2e-5` is one, quoted or not."""
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
    raise _expected("a number", value)


def as_whole(value: object) -> int:
    """Read a whole number; `1e3` and `8.0` are whole too. What no computer counts to is refused."""
    if isinstance(value, int) and not isinstance(value, bool):
        return _counted(value)
    try:
        number = as_number(value)
    except PydanticCustomError:
        number = math.nan
    if number.is_integer():
        return _counted(int(number))
    raise _expected("a whole number", value)


def _counted(value: int) -> int:
    if not -_COUNTS <= value < _COUNTS:
        raise wrong("is too large: whole numbers end at 2^63 - 1")
    return value


def as_share(value: object) -> float:
    """Read a count (1 or more, whole) or a share of the whole (below 1)."""
    number = as_number(value)
    if number >= 1 and not number.is_integer():
        raise wrong(f"{number:g} is neither a whole number nor a share below 1", "write 10 or 0.1, for example")
    return number


def as_text(value: object) -> str:
    """Read a text; bare numbers and dates are taken as written."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float | datetime.date) and not isinstance(value, bool):
        return str(value)
    hint = "put it in quotes if the word itself is meant" if isinstance(value, bool) else ""
    raise _expected("a text", value, hint)


def as_names(value: object) -> tuple[str, ...]:
    """Read names: a text with commas (spaces allowed) or a YAML list, whose items are taken whole."""
    if isinstance(value, list | tuple):
        return tuple(name for item in value if (name := as_text(item).strip()))
    if isinstance(value, dict | bool):
        raise _expected("a name, or several with commas between them", value)
    return tuple(name for part in as_text(value).split(",") if (name := part.strip()))


def as_settings(value: object) -> dict[str, object]:
    """Read a mapping of names to plain values; a JSON text is accepted as LLaMA-Factory does."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise _expected("a mapping such as {min_lr: 1.0e-6}", value) from error
    if not isinstance(value, dict):
        raise _expected("a mapping such as {min_lr: 1.0e-6}", value)
    return {str(key): _setting(str(key), item) for key, item in value.items()}


def _setting(key: str, value: object) -> object:
    if not isinstance(value, str | int | float | None):
        raise wrong(f"expected a plain value for '{key}', found {shown(value)}")
    if not isinstance(value, str):
        return value
    # PyYAML reads 1e-6 as a text, which has made quoted numbers common.
    for read in (as_whole, as_number):
        with contextlib.suppress(PydanticCustomError):
            return read(value)
    return value


def words_for(table: Mapping[object, str]) -> Callable[[object], object]:
    """Return a reader of a choice that maps other spellings first, such as YAML 1.1's `no` read as false."""

    def read(value: object) -> object:
        simple = isinstance(value, str | bool | int | float)
        return table.get(value, value) if simple else value

    return read


Flag = Annotated[bool, Kind("flag"), BeforeValidator(as_flag)]
Number = Annotated[float, Kind("number"), BeforeValidator(as_number)]
Whole = Annotated[int, Kind("whole"), BeforeValidator(as_whole)]
Share = Annotated[float, Kind("share"), BeforeValidator(as_share)]
Text = Annotated[str, Kind("text"), BeforeValidator(as_text)]
Names = Annotated[tuple[str, ...], Kind("names"), BeforeValidator(as_names)]
Settings = Annotated[dict[str, object], Kind("settings"), BeforeValidator(as_settings)]
