"""Tools and calls as data."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from tuitune.data.conversation import describe

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

    The content is JSON of one call or a list of calls, alone or between `words`.
    """
    between = re.compile(f"{re.escape(words[0])}(.*?){re.escape(words[1])}", re.DOTALL)
    found = between.findall(content)
    said = between.sub("", content) if found else ""
    calls: list[Call] = []
    for text in found or [content]:
        value = _loaded(text, "the call is")
        calls += [_call(each) for each in (value if isinstance(value, list) else [value])]
    if not calls:
        raise Unreadable("a call of tools is an empty list")
    return said, calls


def calls_or_text(content: str, found: Sequence[tuple[str, Any]]) -> list[Call] | str:
    """Return the calls that were found, or the text where there are none."""
    return [Call(name, arguments) for name, arguments in found] or content


def _call(value: Any) -> Call:
    value = bare(value) if isinstance(value, dict) else value
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or "arguments" not in value:
        raise Unreadable("a call of a tool is not an object with name and arguments")
    arguments = value["arguments"]
    if isinstance(arguments, str):  # as OpenAI has them
        try:
            parsed = json.loads(arguments)
        except ValueError:
            parsed = None
        arguments = parsed if isinstance(parsed, dict) else arguments
    return Call(value["name"], arguments)


def _loaded(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise Unreadable(f"{what} not valid JSON") from None
