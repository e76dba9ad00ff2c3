"""What is wrong with a request, in plain words: pydantic's reasons without its own names for things."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic_core import ErrorDetails

from tuitune.text import clean_line

Part = int | str
_Found = tuple[tuple[Part, ...], ErrorDetails]  # what is left of the way to a value, and what is wrong there

# By pydantic's types of errors.
_KINDS = {
    "string_type": "a text", "int_type": "a whole number", "int_from_float": "a whole number",
    "int_parsing_size": "a whole number", "float_type": "a number", "finite_number": "a number",
    "bool_type": "true or false", "list_type": "a list", "dict_type": "an object", "model_type": "an object",
}  # fmt: skip
_BOUNDS = {
    "greater_than_equal": ("at least {}", "ge"), "greater_than": ("above {}", "gt"),
    "less_than_equal": ("at most {}", "le"), "less_than": ("below {}", "lt"),
}  # fmt: skip
_SIZES = {
    "too_short": ("at least {}", "min_length", "entries"), "too_long": ("at most {}", "max_length", "entries"),
    "string_too_short": ("at least {}", "min_length", "characters"),
    "string_too_long": ("at most {}", "max_length", "characters"),
}  # fmt: skip
_ONE = {"entries": "entry", "characters": "character"}


def reasons(details: Sequence[ErrorDetails]) -> list[tuple[str, str]]:
    """Return each reason as the place that is meant, such as `messages[2]`, and a sentence about it."""
    return _below("", [(detail["loc"], detail) for detail in details])


def _below(place: str, found: Sequence[_Found]) -> list[tuple[str, str]]:
    """Return what is wrong at a place and in what it holds."""
    said = [(place, _sentence(place, detail)) for rest, detail in found if not rest]
    kinds: list[_Found] = []
    keys: list[_Found] = []
    for each in found:
        if each[0]:
            (kinds if _is_kind(place, *each) else keys).append(each)
    said += _of_kinds(place, list(_grouped(kinds).values())) if kinds else []
    for part, inside in _grouped(keys).items():
        said += _below(_spelled(place, part), inside)
    return said


def _of_kinds(place: str, groups: Sequence[Sequence[_Found]]) -> list[tuple[str, str]]:
    """Return what is wrong with a value that may be of several kinds: as the kind that it comes nearest to."""
    near = [group for group in groups if any(rest or detail["type"] not in _KINDS for rest, detail in group)]
    if near:
        return _below(place, max(near, key=_right_so_far))
    kinds = dict.fromkeys(_KINDS[detail["type"]] for group in groups for _, detail in group)
    return [(place, f"{place}: it should be {' or '.join(kinds)}")]


def _right_so_far(group: Sequence[_Found]) -> int:
    """Return how many entries of a list are right before the first that is not; -1 where it is no matter of one."""
    return min(rest[0] if rest and isinstance(rest[0], int) else -1 for rest, _ in group)


def _grouped(found: Iterable[_Found]) -> dict[Part, list[_Found]]:
    groups: dict[Part, list[_Found]] = {}
    for (part, *rest), detail in found:
        groups.setdefault(part, []).append((tuple(rest), detail))
    return groups


def _is_kind(place: str, rest: Sequence[Part], detail: ErrorDetails) -> bool:
    """Tell whether the next part is pydantic's name for one of several kinds, such as `list[int]`, and no key."""
    part = rest[0]
    unknown = detail["type"] == "extra_forbidden" and len(rest) == 1
    return bool(place) and isinstance(part, str) and not part.isidentifier() and not unknown


def _spelled(place: str, part: Part) -> str:
    if isinstance(part, int):
        return f"{place}[{part}]"
    part = clean_line(part)[:80]
    return f"{place}.{part}" if place else part


def _sentence(place: str, detail: ErrorDetails) -> str:
    kind, about = detail["type"], detail.get("ctx", {})
    if kind == "extra_forbidden":
        return f"there is no parameter {place!r}"
    if kind == "missing":
        return f"{place} is missing"
    return f"{place or 'the request'}: it should {_should(kind, about) or clean_line(detail['msg'])[:200]}"


def _should(kind: str, about: Mapping[str, Any]) -> str:
    if kind in _KINDS:
        return f"be {_KINDS[kind]}"
    if kind == "literal_error":
        return f"be {str(about['expected']).replace(chr(39), '')}"
    if kind in _BOUNDS:
        words, name = _BOUNDS[kind]
        return f"be {words.format(_number(about[name]))}"
    if kind in _SIZES:
        words, name, unit = _SIZES[kind]
        count = about[name]
        return f"have {words.format(f'{count:,}')} {_ONE[unit] if count == 1 else unit}"
    return ""


def _number(value: float) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
