"""How tools are told to a model, how it calls them, and how its calls are read again."""

from __future__ import annotations

import difflib

from tuitune.data.templates.tools.calls import Call, Unreadable, dumps, read_calls, read_tools, wrapped
from tuitune.data.templates.tools.formats import ToolFormat
from tuitune.data.templates.tools.json_formats import JSON_FORMATS
from tuitune.data.templates.tools.tag_formats import TAG_FORMATS
from tuitune.data.templates.tools.word_formats import WORD_FORMATS
from tuitune.errors import DataError

__all__ = [
    "TOOL_FORMATS",
    "Call",
    "ToolFormat",
    "Unreadable",
    "dumps",
    "read_calls",
    "read_tools",
    "tool_format",
    "wrapped",
]

TOOL_FORMATS: dict[str, ToolFormat] = {each.name: each for each in (*WORD_FORMATS, *JSON_FORMATS, *TAG_FORMATS)}


def tool_format(name: str) -> ToolFormat:
    """Return the format of this name; raises DataError."""
    if name in TOOL_FORMATS:
        return TOOL_FORMATS[name]
    near = difflib.get_close_matches(name, TOOL_FORMATS, n=1)
    raise DataError(
        f"there is no tool_format {name!r}",
        f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(TOOL_FORMATS)}.",
    )
