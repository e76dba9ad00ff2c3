"""Calls between tags, one for each argument: GLM-4.5, Qwen3.5, Seed-OSS, MiniMax-M2."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from tuitune.data.templates.tools.calls import Call, calls_or_text
from tuitune.data.templates.tools.formats import Calling, Listing, ToolFormat
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
    """Reads calls again: `call` finds a name and what follows it, `pair` the arguments in there."""

    call: re.Pattern[str]
    pair: re.Pattern[str]

    def extract(self, content: str) -> list[Call] | str:
        calls = self.call.findall(content)
        if any(self.pair.sub("", body).strip() for _, body in calls):  # more than arguments: no call
            return content
        found = [(name, {key.strip(): _value(text) for key, text in self.pair.findall(body)}) for name, body in calls]
        return calls_or_text(content, found)


def _value(text: str) -> Any:
    try:
        return json.loads(text.strip())
    except (ValueError, RecursionError):
        return text.strip()


def _tags(call: str, pair: str = r"<parameter=(.*?)>(.*?)</parameter>") -> _Tags:
    return _Tags(re.compile(call, re.DOTALL), re.compile(pair, re.DOTALL))


TAG_FORMATS = (
    ToolFormat(
        "glm4_moe",
        signatures(_GLM4_MOE),
        Calling(
            "\n<tool_call>{name}{pairs}\n</tool_call>",
            pair="\n<arg_key>{key}</arg_key>\n<arg_value>{value}</arg_value>",
        ),
        _tags(
            r"<tool_call>\s*([^\s<]+)(.*?)</tool_call>", r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)</arg_value>"
        ).extract,
    ),
    ToolFormat(
        "qwen3_5",
        Listing(
            "\n\n# Tools\n\nYou have access to the following functions:\n\n<tools>", _QWEN3_5, before="\n", bare=True
        ),
        Calling(
            "<tool_call>\n<function={name}>{pairs}\n</function>\n</tool_call>",
            pair="\n<parameter={key}>\n{value}\n</parameter>",
        ),
        _tags(r"<tool_call>\s*<function=\s*([^\s<>]+)\s*>(.*?)</function>\s*</tool_call>").extract,
    ),
    ToolFormat(
        "seed_oss",
        Listing(_SEED, _SEED_CALLS, given=True, as_list=True),
        Calling(
            "\n<seed:tool_call>\n<function={name}>{pairs}\n</function>\n</seed:tool_call>",
            pair="\n<parameter={key}>{value}</parameter>",
        ),
        _tags(r"<seed:tool_call>\s*<function=\s*([^\s<>]+)\s*>(.*?)</function>\s*</seed:tool_call>").extract,
    ),
    ToolFormat(
        "minimax2",
        Listing(_MINIMAX2, _MINIMAX2_CALLS, before="<tool>", after="</tool>\n", bare=True),
        Calling(
            '<invoke name="{name}">{pairs}\n</invoke>',
            "\n",
            "<minimax:tool_call>\n",
            "\n</minimax:tool_call>",
            pair='\n<parameter name="{key}">{value}</parameter>',
        ),
        _tags(r'<invoke name="(.*?)">(.*?)</invoke>', r'<parameter name="(.*?)">(.*?)</parameter>').extract,
    ),
)
