"""Calls as JSON: Llama 3, Mistral, Qwen, Ling, MiniMax-M1; and LFM2's calls in Python's notation."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from typing import Any

from tuitune.data.templates.tools.calls import Call, calls_or_text
from tuitune.data.templates.tools.formats import Calling, Listing, ToolFormat

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


def _read(texts: Sequence[str], content: str, key: str = "arguments") -> list[Call] | str:
    """Return the calls of JSON texts, or `content` if one of them is none."""
    found: list[tuple[str, Any]] = []
    for text in texts:
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return content
        for each in value if isinstance(value, list) else [value]:
            if not isinstance(each, dict) or not isinstance(each.get("name"), str) or key not in each:
                return content
            found.append((each["name"], each[key]))
    return calls_or_text(content, found)


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


_OBJECT = '{"name": {json_name}, "arguments": {arguments}}'


def signatures(foot: str, lead: str = "\n\n") -> Listing:
    """Return the list of tools in Qwen's frame; each family says its own behind it."""
    return Listing(lead + _SIGNATURES, foot, before="\n")


def _tagged(content: str) -> list[Call] | str:
    return _read(_QWEN_CALL.findall(content), content)


_TAGGED = Calling(f"<tool_call>\n{_OBJECT}\n</tool_call>")

JSON_FORMATS = (
    ToolFormat(
        "llama3",
        Listing(_LLAMA3, after="\n\n", indent=4),
        Calling('{"name": {json_name}, "parameters": {arguments}}', ", ", many=("[", "]")),
        lambda content: _read([content], content, "parameters"),
    ),
    ToolFormat(
        "mistral",
        Listing("[AVAILABLE_TOOLS] ", "[/AVAILABLE_TOOLS]", as_list=True),
        Calling(_OBJECT, ", ", "[", "]"),
        lambda content: _read([content.strip().removeprefix("[TOOL_CALLS]")], content),
    ),
    ToolFormat("qwen", signatures(_QWEN), _TAGGED, _tagged),
    ToolFormat("ling", signatures(_QWEN, ""), _TAGGED, _tagged),
    ToolFormat(
        "minimax1",
        Listing("You are provided with these tools:\n<tools>\n", _MINIMAX1, after="\n", bare=True),
        Calling(_OBJECT, "\n", "<tool_calls>\n", "\n</tool_calls>"),
        lambda content: _read(
            [line for text in _MINIMAX1_CALLS.findall(content) for line in text.splitlines() if line.strip()], content
        ),
    ),
    ToolFormat(
        "lfm2",
        Listing("List of tools: <|tool_list_start|>", "<|tool_list_end|>", bare=True, as_list=True),
        # Text between quotes as JSON has it: Python reads it the same, and a quote inside does not end it.
        Calling(
            "{name}({pairs})", ", ", "<|tool_call_start|>[", "]<|tool_call_end|>",
            pair="{key}={json_value}", between_pairs=", ",
        ),
        _lfm2_extract,
    ),
    ToolFormat(
        "phi4_mini",
        Listing("<|tool|>", "<|/tool|>", given=True, as_list=True),
        Calling(_OBJECT, ", ", "<|tool_call|>[", "]<|/tool_call|>"),
        lambda content: _read(_PHI4_CALLS.findall(content), content),
    ),
)  # fmt: skip
