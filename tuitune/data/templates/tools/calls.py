"""Tools and calls as data."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from tuitune.data.conversation import calls_of, describe

JsonObject = dict[str, Any]


class Unreadable(Exception):
    """Tools or calls that are not what they should be; the text is the reason in words."""


class Call(NamedTuple):
    """A function that the model wants called; arguments is an object except where a row has something else."""

    name: str
    arguments: Any


def dumps(value: Any, indent: int | None = None) -> str:
    """Return JSON as the models know it: every language as it is, a space behind commas and colons."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def read_tools(text: str) -> list[JsonObject]:
    """Return the functions that a row offers: a JSON list of them, bare or in OpenAI's wrapping; raises Unreadable."""
    tools = _loaded(text, "the tools are")
    tools = tools if isinstance(tools, list) else [tools]
    for number, tool in enumerate(tools, 1):
        if not isinstance(tool, dict):
            raise Unreadable(f"tool {number} is {describe(tool)}, not an object")
        if not isinstance(bare(tool), dict) or not isinstance(bare(tool).get("name"), str):
            raise Unreadable(f"tool {number} has no name")
    return tools


def bare(tool: JsonObject) -> Any:
    """Return a tool without OpenAI's wrapping."""
    return tool.get("function", tool) if tool.get("type") == "function" else tool


def wrapped(tool: JsonObject) -> JsonObject:
    """Return a tool in OpenAI's wrapping."""
    return tool if tool.get("type") == "function" else {"type": "function", "function": tool}


def read_calls(content: str, words: tuple[str, str] = ("<tool_call>", "</tool_call>")) -> tuple[str, list[Call]]:
    """Return what a function message says before its calls, and the calls; raises Unreadable.

    The calls are JSON, one or a list, behind everything else or between `words`.
    """
    between = re.compile(f"{re.escape(words[0])}(.*?){re.escape(words[1])}", re.DOTALL)
    found = between.findall(content)
    said = between.sub("", content) if found else ""
    calls: list[JsonObject] = []
    try:
        for text in found or [content]:
            before, several = calls_of(text)
            said += "" if found else before
            calls += several
    except ValueError as reason:
        raise Unreadable(f"it calls a tool, but {reason}") from None
    return said, [Call(call["name"], call["arguments"]) for call in calls]


def calls_or_text(content: str, found: Sequence[tuple[str, Any]]) -> list[Call] | str:
    """Return the calls that were found, or the text where there are none."""
    return [Call(name, arguments) for name, arguments in found] or content


def _loaded(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Unreadable(f"{what} not valid JSON") from None
