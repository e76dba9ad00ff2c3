"""Calls between tags, one for each argument: GLM-4.5, Qwen3.5, Seed-OSS, MiniMax-M2."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tuitune.data.templates.tools.calls import Call, JsonObject, bare, calls_or_text, dumps
from tuitune.data.templates.tools.formats import ToolFormat
from tuitune.data.templates.tools.json_formats import signatures

_GLM4_MOE = (
    "\n</tools>\n\nFor each function call, output the function name and arguments within the following XML format:"
    "\n<tool_call>{function-name}\n<arg_key>{arg-key-1}</arg_key>\n<arg_value>{arg-value-1}</arg_value>"
    "\n<arg_key>{arg-key-2}</arg_key>\n<arg_value>{arg-value-2}</arg_value>\n...\n</tool_call>\n"
)
_QWEN3_5 = (
    "\n</tools>\n\nIf you choose to call a function ONLY reply in the following format with NO suffix:\n\n"
    "<tool_call>\n<function=example_function_name>\n<parameter=example_parameter_1>\nvalue_1\n</parameter>\n"
    "<parameter=example_parameter_2>\nThis is the value for the second parameter\nthat can span\nmultiple lines\n"
    "</parameter>\n</function>\n</tool_call>\n\n<IMPORTANT>\nReminder:\n"
    "- Function calls MUST follow the specified format: an inner <function=...></function> block must be nested "
    "within <tool_call></tool_call> XML tags\n- Required parameters MUST be specified\n"
    "- You may provide optional reasoning for your function call in natural language BEFORE the function call, but "
    "NOT after\n- If there is no function call available, answer the question like normal with your current knowledge "
    "and do not tell the user about function calls\n</IMPORTANT>"
)
_SEED = (
    "system\nYou are Doubao, a helpful AI assistant. You may call one or more functions to assist with the user query."
    "Tool List:\nYou are authorized to use the following tools (described in JSON Schema format). Before performing "
    "any task, you must decide how to call them based on the descriptions and parameters of these tools.\n"
)
_SEED_CALLS = (
    "\n工具调用请遵循如下格式:\n<seed:tool_call>\n<function=example_function_name>\n<parameter=example_parameter_1>value_1"
    "</parameter>\n<parameter=example_parameter_2>This is the value for the second parameter\nthat can span\nmultiple "
    "lines</parameter>\n</function>\n</seed:tool_call>\n"
)
_MINIMAX2 = (
    "\n\n# Tools\n\nYou may call one or more tools to assist with the user query.\n"
    "Here are the tools available in JSONSchema format:\n\n<tools>\n"
)
_MINIMAX2_CALLS = (
    "</tools>\n\nWhen making tool calls, use XML format to invoke tools and pass parameters:\n"
    '\n<minimax:tool_call>\n<invoke name="tool-name-1">\n<parameter name="param-key-1">param-value-1</parameter>\n'
    '<parameter name="param-key-2">param-value-2</parameter>\n...\n</invoke>\n</minimax:tool_call>'
)


@dataclass(frozen=True)
class _Tags:
    """One call: `begin`, then each argument as `key` and `value`, then `end`."""

    begin: str
    argument: str
    end: str
    call: re.Pattern[str]
    pair: re.Pattern[str]

    def say(self, calls: Sequence[Call]) -> str:
        return "\n".join(self._one(call) for call in calls)

    def extract(self, content: str) -> list[Call] | str:
        found = [
            (name.strip(), {key.strip(): _value(text) for key, text in self.pair.findall(body)})
            for name, body in self.call.findall(content)
        ]
        return calls_or_text(content, found)

    def _one(self, call: Call) -> str:
        arguments = call.arguments if isinstance(call.arguments, dict) else {}
        middle = "".join(
            self.argument.format(key=key, value=value if isinstance(value, str) else dumps(value))
            for key, value in arguments.items()
        )
        return self.begin.format(name=call.name) + middle + self.end


def _value(text: str) -> Any:
    try:
        return json.loads(text.strip())
    except ValueError:
        return text.strip()


def _pattern(words: str) -> re.Pattern[str]:
    return re.compile(words, re.DOTALL)


_GLM4_MOE_TAGS = _Tags(
    "\n<tool_call>{name}", "\n<arg_key>{key}</arg_key>\n<arg_value>{value}</arg_value>", "\n</tool_call>",
    _pattern(r"<tool_call>\s*([^\s<]+)(.*?)</tool_call>"),
    _pattern(r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>"),
)  # fmt: skip
_QWEN3_5_TAGS = _Tags(
    "<tool_call>\n<function={name}>", "\n<parameter={key}>\n{value}\n</parameter>", "\n</function>\n</tool_call>",
    _pattern(r"<tool_call>\s*<function=\s*([^\s<>]+)\s*>(.*?)</function>\s*</tool_call>"),
    _pattern(r"<parameter=(.*?)>(.*?)</parameter>"),
)  # fmt: skip
_SEED_TAGS = _Tags(
    "\n<seed:tool_call>\n<function={name}>", "\n<parameter={key}>{value}</parameter>",
    "\n</function>\n</seed:tool_call>",
    _pattern(r"<seed:tool_call>\s*<function=\s*([^\s<>]+)\s*>(.*?)</function>\s*</seed:tool_call>"),
    _pattern(r"<parameter=(.*?)>(.*?)</parameter>"),
)  # fmt: skip
_MINIMAX2_TAGS = _Tags(
    '<invoke name="{name}">', '\n<parameter name="{key}">{value}</parameter>', "\n</invoke>",
    _pattern(r'<invoke name="(.*?)">(.*?)</invoke>'), _pattern(r'<parameter name="(.*?)">(.*?)</parameter>'),
)  # fmt: skip


def _lines(tools: Sequence[JsonObject], form: Callable[[str], str]) -> str:
    return "".join(form(dumps(bare(tool))) for tool in tools)


TAG_FORMATS = (
    ToolFormat(
        "glm4_moe",
        lambda tools: f"\n\n{signatures(tools)}{_GLM4_MOE}",
        _GLM4_MOE_TAGS.say,
        _GLM4_MOE_TAGS.extract,
    ),
    ToolFormat(
        "qwen3_5",
        lambda tools: (
            "\n\n# Tools\n\nYou have access to the following functions:\n\n<tools>"
            + _lines(tools, lambda text: "\n" + text)
            + _QWEN3_5
        ),
        _QWEN3_5_TAGS.say,
        _QWEN3_5_TAGS.extract,
    ),
    ToolFormat("seed_oss", lambda tools: _SEED + dumps(list(tools)) + _SEED_CALLS, _SEED_TAGS.say, _SEED_TAGS.extract),
    ToolFormat(
        "minimax2",
        lambda tools: _MINIMAX2 + _lines(tools, lambda text: f"<tool>{text}</tool>\n") + _MINIMAX2_CALLS,
        lambda calls: f"<minimax:tool_call>\n{_MINIMAX2_TAGS.say(calls)}\n</minimax:tool_call>",
        _MINIMAX2_TAGS.extract,
    ),
)
