"""The colours of one line of YAML: enough for flat recipes, and never wrong about where a value begins."""

from __future__ import annotations

import re
from dataclasses import dataclass

_KEY = re.compile(
    r"""[ \t]*(?:-[ ]+|\{[ ]*)?(?P<key>"[^"]*"|'[^']*'|[^\s\#"'\[\]{},&*!|>%@`-][^\#]*?)(?P<colon>[ \t]*:)(?=\s|$)"""
)
_VALUE = re.compile(r"""[ \t]*(?P<value>"(?:\\.|[^"\\])*"|'(?:''|[^'])*'|(?:(?<![ \t])\#|[^\#])*)""")
_QUOTED = ("'", '"')


@dataclass(frozen=True, slots=True)
class Parts:
    """Where key, colon, value and comment of a line stand; ends are exclusive, and nothing has start == end."""

    key: tuple[int, int]
    colon: tuple[int, int]
    value: tuple[int, int]
    comment: tuple[int, int]


def parts(line: str) -> Parts:
    """Return the parts of a line; one without a key is all value, or all comment."""
    found = _KEY.match(line) if not line.lstrip().startswith("#") else None
    key, colon, begin = ((0, 0), (0, 0), 0)
    if found is not None:
        key, colon, begin = found.span("key"), found.span("colon"), found.end()
    start, end = _value(line, begin)
    hash_at = line.find("#", end)
    return Parts(key, colon, (start, end), (hash_at, len(line)) if hash_at >= 0 else (end, end))


def _value(line: str, begin: int) -> tuple[int, int]:
    match = _VALUE.match(line, begin)
    if match is None or line[begin:].lstrip().startswith("#"):
        return begin, begin
    start = match.start("value")
    return start, start + len(match["value"].rstrip())


def spans(line: str) -> list[tuple[int, int, str]]:
    """Return start, end and role of all that has a colour in a line."""
    found = parts(line)
    value = line[slice(*found.value)]
    has_key = found.colon[0] < found.colon[1]
    ink = "ink" if not has_key or value.startswith(_QUOTED) else "strong"
    roles = ((found.key, "weights"), (found.colon, "quiet"), (found.value, ink), (found.comment, "quiet i"))
    return [(start, end, role) for (start, end), role in roles if start < end]
