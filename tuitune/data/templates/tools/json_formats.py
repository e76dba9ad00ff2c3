"""Calls as JSON: Llama 3, Mistral, Qwen, Ling, MiniMax-M1; and LFM2's calls in Python's notation."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from typing import Any

from tuitune.data.templates.tools.calls import Call, JsonObject, bare, calls_or_text, dumps, wrapped
from tuitune.data.templates.tools.formats import ToolFormat

# The date that Llama 3.1's own chat template writes when it is given none: today's would change the tokens every day.
_LLAMA3_DATE = "26 Jul 2024"
_LLAMA3 = (
    f"Cutting Knowledge Date: December 2023\nToday Date: {_LLAMA3_DATE}\n\n"
    "You have access to the following functions. To call a function, please respond with JSON for a function call. "
    'Respond in the format {"name": function name, "parameters": dictionary of argument name and its value}. '
    "Do not use variables.\n\n"
)
_SIGNATURES = (
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>"
)
_QWEN = (
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments within "
    '<tool_call></tool_call> XML tags:\n<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n'
    "</tool_call>"
)
_MINIMAX1 = (
    "</tools>\n\nIf you need to call tools, please respond with <tool_calls></tool_calls> XML tags, and provide "
    "tool-name and json-object of arguments, following the format below:\n<tool_calls>\n"
    '{"name": <tool-name-1>, "arguments": <args-json-object-1>}\n...\n</tool_calls>'
)
_QWEN_CALL = re.compile(r"<tool_call>(.+?)</tool_call>(?=\s*<tool_call>|\s*$)", re.DOTALL)
_MINIMAX1_CALLS = re.compile(r"<tool_calls>\s*(.+?)\s*</tool_calls>", re.DOTALL)
_LFM2_CALLS = re.compile(r"<\|tool_call_start\|>(.*?)<\|tool_call_end\|>", re.DOTALL)
_PHI4_CALLS = re.compile(r"<\|tool_call\|>(.*?)<\|/tool_call\|>", re.DOTALL)
_JSON_NAMES = {"true": True, "false": False, "null": None}


def signatures(tools: Sequence[JsonObject]) -> str:
    """Return the list of tools in Qwen's frame, up to where each family says its own."""
    return _SIGNATURES + "".join("\n" + dumps(wrapped(tool)) for tool in tools)


def _object(call: Call, key: str = "arguments") -> JsonObject:
    return {"name": call.name, key: call.arguments}


def _read(texts: Sequence[str], content: str, key: str = "arguments") -> list[Call] | str:
    """Return the calls of JSON texts, or `content` if one of them is none."""
    found: list[tuple[str, Any]] = []
    for text in texts:
        try:
            value = json.loads(text)
        except ValueError:
            return content
        for each in value if isinstance(value, list) else [value]:
            if not isinstance(each, dict) or not isinstance(each.get("name"), str) or key not in each:
                return content
            found.append((each["name"], each[key]))
    return calls_or_text(content, found)


def _llama3_say(calls: Sequence[Call]) -> str:
    objects = [_object(call, "parameters") for call in calls]
    return dumps(objects[0] if len(objects) == 1 else objects)


def _lfm2_say(calls: Sequence[Call]) -> str:
    # Text between quotes as JSON has it: Python reads it the same, and a quote inside does not end it.
    words = (", ".join(f"{key}={dumps(value)}" for key, value in call.arguments.items()) for call in calls)
    written = ", ".join(f"{call.name}({each})" for call, each in zip(calls, words, strict=True))
    return f"<|tool_call_start|>[{written}]<|tool_call_end|>"


def _lfm2_extract(content: str) -> list[Call] | str:
    found: list[tuple[str, Any]] = []
    for text in _LFM2_CALLS.findall(content):
        try:
            body = ast.parse(text.strip(), mode="eval").body
            nodes = body.elts if isinstance(body, ast.List) else [body]
            found += [_lfm2_call(node) for node in nodes]
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return content
    return calls_or_text(content, found)


def _lfm2_call(node: ast.expr) -> tuple[str, Any]:
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.args:
        raise ValueError("not a call")
    return node.func.id, {keyword.arg: _lfm2_value(keyword.value) for keyword in node.keywords if keyword.arg}


def _lfm2_value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name) and node.id in _JSON_NAMES:
        return _JSON_NAMES[node.id]
    if isinstance(node, ast.List):
        return [_lfm2_value(each) for each in node.elts]
    if isinstance(node, ast.Dict):
        return {ast.literal_eval(k): _lfm2_value(v) for k, v in zip(node.keys, node.values, strict=True) if k}
    return ast.literal_eval(node)


JSON_FORMATS = (
    ToolFormat(
        "llama3",
        lambda tools: _LLAMA3 + "".join(dumps(wrapped(tool), indent=4) + "\n\n" for tool in tools),
        _llama3_say,
        lambda content: _read([content], content, "parameters"),
    ),
    ToolFormat(
        "mistral",
        lambda tools: f"[AVAILABLE_TOOLS] {dumps([wrapped(tool) for tool in tools])}[/AVAILABLE_TOOLS]",
        lambda calls: dumps([_object(call) for call in calls]),
        lambda content: _read([content.strip().removeprefix("[TOOL_CALLS]")], content),
    ),
    ToolFormat(
        "qwen",
        lambda tools: f"\n\n{signatures(tools)}{_QWEN}",
        lambda calls: "\n".join(f"<tool_call>\n{dumps(_object(call))}\n</tool_call>" for call in calls),
        lambda content: _read(_QWEN_CALL.findall(content), content),
    ),
    ToolFormat(
        "ling",
        lambda tools: signatures(tools) + _QWEN,
        lambda calls: "\n".join(f"<tool_call>\n{dumps(_object(call))}\n</tool_call>" for call in calls),
        lambda content: _read(_QWEN_CALL.findall(content), content),
    ),
    ToolFormat(
        "minimax1",
        lambda tools: (
            "You are provided with these tools:\n<tools>\n"
            + "".join(dumps(bare(tool)) + "\n" for tool in tools)
            + _MINIMAX1
        ),
        lambda calls: "<tool_calls>\n" + "\n".join(dumps(_object(call)) for call in calls) + "\n</tool_calls>",
        lambda content: _read(
            [line for text in _MINIMAX1_CALLS.findall(content) for line in text.splitlines() if line.strip()], content
        ),
    ),
    ToolFormat(
        "lfm2",
        lambda tools: f"List of tools: <|tool_list_start|>{dumps([bare(tool) for tool in tools])}<|tool_list_end|>",
        _lfm2_say,
        _lfm2_extract,
    ),
    ToolFormat(
        "phi4_mini",
        lambda tools: f"<|tool|>{dumps(list(tools))}<|/tool|>",
        lambda calls: f"<|tool_call|>{dumps([_object(call) for call in calls])}<|/tool_call|>",
        lambda content: _read(_PHI4_CALLS.findall(content), content),
    ),
)
