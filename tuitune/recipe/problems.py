"""What can be wrong with a recipe, in words, with its place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

_LONGEST = 60


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to say about one key; `line` counts from 1 in the file the key came from."""

    key: str
    value: object
    reason: str
    hint: str = ""
    line: int | None = None
    level: Literal["error", "warning"] = "error"

    def __str__(self) -> str:
        """Return the problem as one line: place, key, reason, hint."""
        place = f"line {self.line}: " if self.line else ""
        key = f"{self.key}: " if self.key else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}{key}{self.reason}{hint}"


def named(source: Path | None) -> str:
    """Return what a recipe is called in messages: its path, from the current directory where that is shorter."""
    if source is None:
        return "the recipe"
    here = Path.cwd()
    return str(source.relative_to(here) if source.is_relative_to(here) else source)


def shown(value: object) -> str:
    """Return a short name of a foreign value; the insides of a collection are never printed."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "a mapping (nested keys)"
    if isinstance(value, list | tuple | set | frozenset):
        return "a list"
    if isinstance(value, bytes):
        return "binary data"
    text = str(value) if not isinstance(value, str) else f"'{value}'"
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
