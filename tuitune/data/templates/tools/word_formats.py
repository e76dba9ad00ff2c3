"""Calls in plain words: `Action:` and `Action Input:`, and GLM-4's name on a line of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from tuitune.data.templates.tools.calls import Call, JsonObject, Unreadable, bare, calls_or_text, dumps
from tuitune.data.templates.tools.formats import ToolFormat

_ACTION = re.compile(r"Action:\s*([^\s]+)\s*Action Input:\s*(.+?)(?=\s*Action:|\s*$)", re.DOTALL)


def _describe(tools: Sequence[JsonObject]) -> str:
    told = "".join(_told(bare(tool)) for tool in tools)
    names = ", ".join(bare(tool)["name"] for tool in tools)
    return (
        f"You have access to the following tools:\n{told}Use the following format if using a tool:\n```\n"
        f"Action: tool name (one of [{names}])\n"
        "Action Input: the input to the tool, in a JSON format representing the kwargs "
        '(e.g. ```{"input": "hello world", "num_beams": 5}```)\n```\n'
    )


def _told(tool: JsonObject) -> str:
    parameters = tool.get("parameters") or {}
    needed = parameters.get("required") or []
    lines = "".join(
        _parameter(name, each if isinstance(each, dict) else {}, name in needed)
        for name, each in (parameters.get("properties") or {}).items()
    )
    return f"> Tool Name: {tool['name']}\nTool Description: {tool.get('description', '')}\nTool Args:\n{lines}\n"


def _parameter(name: str, about: JsonObject, needed: bool) -> str:
    kind, words = about.get("type", ""), about.get("description", "")
    choices = about.get("enum")
    items = about.get("items")
    more = f", should be one of [{', '.join(map(str, choices))}]" if choices else ""
    more += f", where each item should be {items.get('type', '')}" if isinstance(items, dict) and items else ""
    return f"  - {name} ({kind}{', required' if needed else ''}): {words}{more}\n"


def _say(calls: Sequence[Call]) -> str:
    return "\n".join(f"Action: {call.name}\nAction Input: {dumps(call.arguments)}" for call in calls)


def _extract(content: str) -> list[Call] | str:
    found: list[tuple[str, Any]] = []
    for name, text in _ACTION.findall(content):
        try:
            found.append((name, json.loads(text.strip().strip("`"))))
        except ValueError:
            return content
    return calls_or_text(content, found)


_GLM4 = (
    "你是一个名为 ChatGLM 的人工智能助手。你是基于智谱 AI 公司训练的语言模型 GLM-4 模型开发的，"
    "你的任务是针对用户的问题和要求提供适当的答复和支持。\n\n# 可用工具"
)


def _describe_glm4(tools: Sequence[JsonObject]) -> str:
    return _GLM4 + "".join(
        f"\n\n## {bare(tool)['name']}\n\n{dumps(bare(tool), indent=4)}\n"
        "在调用上述函数时，请使用 Json 格式表示调用的参数。"
        for tool in tools
    )


def _say_glm4(calls: Sequence[Call]) -> str:
    if len(calls) > 1:
        raise Unreadable("it calls several tools at once, which the glm4 format cannot write")
    return f"{calls[0].name}\n{dumps(calls[0].arguments)}"


def _extract_glm4(content: str) -> list[Call] | str:
    name, found, text = content.strip().partition("\n")
    try:
        arguments = json.loads(text)
    except ValueError:
        return content
    return [Call(name.strip(), arguments)] if found and isinstance(arguments, dict) else content


WORD_FORMATS = (
    ToolFormat("default", _describe, _say, _extract),
    ToolFormat("glm4", _describe_glm4, _say_glm4, _extract_glm4),
)
