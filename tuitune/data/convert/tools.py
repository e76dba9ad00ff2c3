"""Tools: what may be called, and the calls that answers hold."""

from __future__ import annotations

import json
from collections.abc import Mapping

from tuitune.data.conversation import UnusableRow, calls_of, describe
from tuitune.data.convert.row import Raw, listed, structure


def tools_text(row: Raw, name: str | None) -> str:
    """Return the tools of a row as a JSON list, "" for none; text that is such a list stays as it is written."""
    value = None if name is None else row.get(name)
    if value is None or (isinstance(value, str) and not value.strip()):
        return ""
    parsed = structure(value)
    if isinstance(parsed, str):
        raise UnusableRow(f"column {name!r} is not valid JSON")
    tools = [parsed] if isinstance(parsed, dict) else parsed
    if not isinstance(tools, list):
        raise UnusableRow(f"column {name!r} is {describe(tools)}, not a list of tools")
    for number, tool in enumerate(tools, 1):
        _check_tool(tool, f"tool {number} of {name!r}")
    if not tools:
        return ""
    if isinstance(value, str) and parsed is tools:
        return value
    return json.dumps(_without_nulls(tools), ensure_ascii=False)


def _check_tool(tool: object, what: str) -> None:
    if not isinstance(tool, Mapping):
        raise UnusableRow(f"{what} is {describe(tool)}, not an object")
    inner = tool.get("function") if tool.get("type") == "function" and "function" in tool else tool
    if not isinstance(inner, Mapping):
        raise UnusableRow(f"{what} has a function that is {describe(inner)}, not an object")
    if not isinstance(inner.get("name"), str) or not inner["name"]:
        raise UnusableRow(f"{what} has no name; it has {listed(inner)}")
    parameters = inner.get("parameters")
    if parameters is not None and not isinstance(parameters, Mapping):
        raise UnusableRow(f"{what} has parameters that are {describe(parameters)}, not an object")


def _without_nulls(value: object) -> object:
    """Drop what parquet fills in where rows have other keys than their neighbours."""
    if isinstance(value, Mapping):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def written_call(content: str, what: str) -> str:
    """Return the content of a function message, known to be text before JSON calls whose arguments are objects."""
    try:
        calls_of(content)
    except ValueError:
        pass
    else:
        return content
    try:  # arguments that are JSON in a text, as OpenAI writes them
        value = json.loads(content)
        calls = [_plain(call, what) for call in (value if isinstance(value, list) else [value])]
        content = json.dumps(calls, ensure_ascii=False)
        calls_of(content)
    except (ValueError, RecursionError):
        pass
    else:
        return content
    try:
        calls_of(content)
    except ValueError as error:
        raise UnusableRow(f"{what} is no call of a tool: {error}") from None
    return content


def made_calls(calls: object, said: str, what: str) -> str:
    """Return OpenAI's `tool_calls` as the content of a function message, after what is said before them."""
    if not isinstance(calls, list):
        raise UnusableRow(f"the tool_calls of {what} are {describe(calls)}, not a list")
    plain = [_plain(call, what) for call in calls]
    content = json.dumps(plain, ensure_ascii=False)
    try:
        calls_of(content)
    except ValueError as error:
        raise UnusableRow(f"the tool_calls of {what} cannot be read: {error}") from None
    return f"{said}\n{content}" if said.strip() else content


def _plain(call: object, what: str) -> dict[str, object]:
    """Return one call as {"name", "arguments"}, without OpenAI's wrapping."""
    if not isinstance(call, Mapping):
        raise UnusableRow(f"a tool call of {what} is {describe(call)}, not an object")
    inner = call.get("function") if isinstance(call.get("function"), Mapping) else call
    assert isinstance(inner, Mapping)
    arguments = inner.get("arguments", {})
    if isinstance(arguments, str):
        arguments = {} if not arguments.strip() else structure(arguments)
    elif isinstance(arguments, Mapping):
        arguments = _without_nulls(arguments)
    return {"name": inner.get("name"), "arguments": {} if arguments is None else arguments}
