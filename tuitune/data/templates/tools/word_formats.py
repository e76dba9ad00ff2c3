"""Calls in plain words: `Action:` and `Action Input:`, and GLM-4's name on a line of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from tuitune.data.templates.tools.calls import Call, JsonObject, bare, calls_or_text
from tuitune.data.templates.tools.formats import Calling, Listing, ToolFormat, quoted

_ACTION = re.compile(r"Action:\s*([^\s]+)\s*Action Input:\s*(.+?)(?=\s*Action:|\s*$)", re.DOTALL)
_HEAD = "You have access to the following tools:\n"
_NAMES = "Use the following format if using a tool:\n```\nAction: tool name (one of ["
_FOOT = (
    "])\nAction Input: the input to the tool, in a JSON format representing the kwargs "
    '(e.g. ```{"input": "hello world", "num_beams": 5}```)\n```\n'
)


class InWords:
    """Tools told in words, a line for every parameter."""

    def text(self, tools: Sequence[JsonObject]) -> str:
        """Return the text of these tools."""
        names = ", ".join(bare(tool)["name"] for tool in tools)
        return _HEAD + "".join(_told(bare(tool)) for tool in tools) + _NAMES + names + _FOOT

    def jinja(self) -> str:
        """Return the same as Jinja."""
        return (
            quoted(_HEAD) + "{% for tool in tools %}{% set tool = tool.function if tool.type == 'function' else tool %}"
            "{{ '> Tool Name: ' + tool.name + '\\nTool Description: ' + (tool.description or '') }}"
            "{{ '\\nTool Args:\\n' }}"
            "{% set given = tool.parameters or {} %}{% for name, about in (given.properties or {}).items() %}"
            "{{ '  - ' + name + ' (' + (about.type or '') | string }}"
            "{{ (', required' if name in (given.required or []) else '') + '): ' + (about.description or '') }}"
            "{% if about.enum %}{{ ', should be one of [' + about.enum | join(', ') + ']' }}{% endif %}"
            "{% set items = about.get('items') %}"
            "{% if items %}{{ ', where each item should be ' + (items.type or '') | string }}"
            "{% endif %}{{ '\\n' }}{% endfor %}{{ '\\n' }}{% endfor %}"
            + quoted(_NAMES)
            + "{% for tool in tools %}{{ (tool.function if tool.type == 'function' else tool).name }}"
            "{% if not loop.last %}{{ ', ' }}{% endif %}{% endfor %}" + quoted(_FOOT)
        )


def _told(tool: JsonObject) -> str:
    parameters = tool.get("parameters") or {}
    needed = parameters.get("required") or []
    lines = "".join(
        _parameter(name, each if isinstance(each, dict) else {}, name in needed)
        for name, each in (parameters.get("properties") or {}).items()
    )
    return f"> Tool Name: {tool['name']}\nTool Description: {tool.get('description') or ''}\nTool Args:\n{lines}\n"


def _parameter(name: str, about: JsonObject, needed: bool) -> str:
    kind, words = about.get("type") or "", about.get("description") or ""
    choices = about.get("enum")
    items = about.get("items")
    more = f", should be one of [{', '.join(map(str, choices))}]" if choices else ""
    more += f", where each item should be {items.get('type') or ''}" if isinstance(items, dict) and items else ""
    return f"  - {name} ({kind}{', required' if needed else ''}): {words}{more}\n"


def _extract(content: str) -> list[Call] | str:
    found: list[tuple[str, Any]] = []
    for name, text in _ACTION.findall(content):
        try:
            found.append((name, json.loads(text.strip().strip("`"))))
        except (ValueError, RecursionError):
            return content
    return calls_or_text(content, found)


_GLM4 = (
    "你是一个名为 ChatGLM 的人工智能助手。你是基于智谱 AI 公司训练的语言模型 GLM-4 模型开发的，"
    "你的任务是针对用户的问题和要求提供适当的答复和支持。\n\n# 可用工具"
)


def _extract_glm4(content: str) -> list[Call] | str:
    name, found, text = content.strip().partition("\n")
    try:
        arguments = json.loads(text)
    except (ValueError, RecursionError):
        return content
    return [Call(name.strip(), arguments)] if found and isinstance(arguments, dict) else content


WORD_FORMATS = (
    ToolFormat("default", InWords(), Calling("Action: {name}\nAction Input: {arguments}"), _extract),
    ToolFormat(
        "glm4",
        Listing(
            _GLM4,
            before="\n\n## {name}\n\n",
            after="\n在调用上述函数时，请使用 Json 格式表示调用的参数。",
            bare=True,
            indent=4,
        ),
        Calling("{name}\n{arguments}", single=True),
        _extract_glm4,
    ),
)
