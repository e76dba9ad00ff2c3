"""Tools told, called, answered: the exact words, and the way back from an answer to its calls."""

from __future__ import annotations

import json

import pytest

from tests.data.field_templates import CHATML, MARKS, ORDINARY, STRICT, TOOLED
from tests.data.speech import CALL, TOOLS, answer, chosen, ids, knowing, speaking, spoken, user
from tests.tiny import tiny_tokenizer
from tuitune.data.conversation import BETWEEN_REPLIES, Conversation, Message
from tuitune.data.templates.base import encode_pieces
from tuitune.data.templates.tools import TOOL_FORMATS, Call, Unreadable, read_calls, read_tools, tool_format
from tuitune.errors import DataError

CALLING = Conversation(
    (user("q"), Message("function", CALL), Message("observation", "res"), answer("done")), None, TOOLS
)
SAID = {
    "default": 'Action: get\nAction Input: {"x": 1, "y": "ü"}',
    "glm4": 'get\n{"x": 1, "y": "ü"}',
    "llama3": '{"name": "get", "parameters": {"x": 1, "y": "ü"}}',
    "mistral": '[{"name": "get", "arguments": {"x": 1, "y": "ü"}}]',
    "qwen": '<tool_call>\n{"name": "get", "arguments": {"x": 1, "y": "ü"}}\n</tool_call>',
    "ling": '<tool_call>\n{"name": "get", "arguments": {"x": 1, "y": "ü"}}\n</tool_call>',
    "minimax1": '<tool_calls>\n{"name": "get", "arguments": {"x": 1, "y": "ü"}}\n</tool_calls>',
    "lfm2": '<|tool_call_start|>[get(x=1, y="ü")]<|tool_call_end|>',
    "phi4_mini": '<|tool_call|>[{"name": "get", "arguments": {"x": 1, "y": "ü"}}]<|/tool_call|>',
    "glm4_moe": "\n<tool_call>get\n<arg_key>x</arg_key>\n<arg_value>1</arg_value>\n<arg_key>y</arg_key>\n"
    "<arg_value>ü</arg_value>\n</tool_call>",
    "qwen3_5": "<tool_call>\n<function=get>\n<parameter=x>\n1\n</parameter>\n<parameter=y>\nü\n</parameter>\n"
    "</function>\n</tool_call>",
    "seed_oss": "\n<seed:tool_call>\n<function=get>\n<parameter=x>1</parameter>\n<parameter=y>ü</parameter>\n"
    "</function>\n</seed:tool_call>",
    "minimax2": '<minimax:tool_call>\n<invoke name="get">\n<parameter name="x">1</parameter>\n'
    '<parameter name="y">ü</parameter>\n</invoke>\n</minimax:tool_call>',
}


@pytest.mark.parametrize("name", TOOL_FORMATS)
def test_a_call_and_the_way_back(name: str) -> None:
    form = TOOL_FORMATS[name]
    _, calls = read_calls(CALL)
    assert form.say(calls) == SAID[name]
    assert form.extract(SAID[name]) == calls


@pytest.mark.parametrize("name", [name for name in TOOL_FORMATS if name != "glm4"])
def test_several_calls_and_odd_arguments(name: str) -> None:
    calls = [
        Call("get", {"x": [1, None, True], "s": 'a "b" — 是 🙂', "d": {"k": -1.5}}),
        Call("put_it", {}),
        Call("get", {"text": "two\nlines"}),
    ]
    assert TOOL_FORMATS[name].extract(TOOL_FORMATS[name].say(calls)) == calls


NO_CALLS = (
    "", "It is 7.", "<tool_call>not json</tool_call>", "Action: x", "get\nnot json", "[1]", '{"name": 1}', "[" * 5000,
    "<|tool_call_start|>[import os]<|tool_call_end|>",
)  # fmt: skip


@pytest.mark.parametrize("name", TOOL_FORMATS)
@pytest.mark.parametrize("text", NO_CALLS)
def test_an_answer_without_a_call_is_a_text(name: str, text: str) -> None:
    assert TOOL_FORMATS[name].extract(text) == text


def test_a_call_in_pythons_notation_is_never_run() -> None:
    for evil in ("__import__('os').system('x')", "get(x=__import__('os'))", "get(open('x'))", "get(x=[y for y in z])"):
        text = f"<|tool_call_start|>[{evil}]<|tool_call_end|>"
        assert TOOL_FORMATS["lfm2"].extract(text) == text


def test_glm4_writes_one_call_only() -> None:
    with pytest.raises(Unreadable, match="several tools at once"):
        TOOL_FORMATS["glm4"].say([Call("a", {}), Call("b", {})])


DESCRIBED = {
    "default": "You have access to the following tools:\n> Tool Name: get\nTool Description: Gets é.\nTool Args:\n"
    "  - x (integer, required): the x\n  - m (array): , should be one of [a, b], where each item should be string\n\n"
    "Use the following format if using a tool:\n```\nAction: tool name (one of [get])\n",
    "qwen": "\n\n# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with "
    'function signatures within <tools></tools> XML tags:\n<tools>\n{"type": "function", "function": {"name": "get", ',
    "llama3": "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
    "You have access to the following functions.",
    "glm4": "你是一个名为 ChatGLM 的人工智能助手。",
    "mistral": '[AVAILABLE_TOOLS] [{"type": "function", "function": {"name": "get", "description": "Gets é.", ',
}


@pytest.mark.parametrize("name", DESCRIBED)
def test_how_tools_are_told(name: str) -> None:
    text = TOOL_FORMATS[name].describe(read_tools(TOOLS))
    assert text.startswith(DESCRIBED[name])
    wrapped = json.dumps([{"type": "function", "function": json.loads(TOOLS)[0]}])
    assert TOOL_FORMATS[name].describe(read_tools(wrapped)) == text


@pytest.mark.parametrize(
    "tool",
    [
        {"name": "zoo"},
        {"name": "zoo", "parameters": {}},
        {"name": "zoo", "parameters": None},
        {"type": "function", "function": {"name": "zoo"}},
    ],
)
@pytest.mark.parametrize("name", TOOL_FORMATS)
def test_tools_without_parameters_are_told_too(name: str, tool: object) -> None:
    assert "zoo" in TOOL_FORMATS[name].describe(read_tools(json.dumps([tool])))


@pytest.mark.parametrize(
    ("text", "reason"),
    [("x", "not valid JSON"), ("[1]", "tool 1 is a number"), ('[{"a": 1}]', "tool 1 has no name"),
     ("[" * 100000, "JSON"), ('{"type": "function", "function": 3}', "no name")],
)  # fmt: skip
def test_what_is_no_tool_is_said(text: str, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        read_tools(text)


@pytest.mark.parametrize(
    "text", ["", "x", "[]", "{}", '{"name": "a"}', '{"arguments": {}}', '[{"name": 1, "arguments": {}}]']
)
@pytest.mark.parametrize("name", ["qwen", "tokenizer"])
def test_what_is_no_call_is_said(text: str, name: str) -> None:
    tokenizer = knowing(MARKS, TOOLED, ORDINARY)
    bad = Conversation((user("q"), Message("function", text)), tools=TOOLS)
    reason, good = encode_pieces(chosen(name, tokenizer).pieces([bad, CALLING], tokenizer), tokenizer)
    assert isinstance(reason, str)
    assert "call" in reason
    assert not isinstance(good, str)


def test_words_before_a_call() -> None:
    assert read_calls('first <tool_call>{"name": "a", "arguments": {}}</tool_call>') == ("first ", [Call("a", {})])
    assert read_calls('{first} {"name": "a", "arguments": {}}') == ("{first} ", [Call("a", {})])


def test_replies_of_several_tools() -> None:
    two = Conversation(
        (
            user("q"),
            Message("function", f"[{CALL}, {CALL}]"),
            Message("observation", BETWEEN_REPLIES.join("ab")),
            answer("c"),
        ),
        None,
        TOOLS,
    )
    marks = ("<tool_response>", "</tool_response>")
    tokenizer = knowing(MARKS, TOOLED, ORDINARY)
    response = tokenizer.convert_tokens_to_ids(list(marks))
    named, own = (ids(chosen(name, tokenizer), two, tokenizer)[2] for name in ("qwen", None))
    assert "<tool_response>\na\n</tool_response>\n<tool_response>\nb\n</tool_response>" in tokenizer.decode(named)
    assert [named.count(token) for token in response] == [own.count(token) for token in response] == [2, 2]
    plain = spoken(chosen("llama3", speaking("llama3")), two, speaking("llama3"))[2]
    assert "\n\na\nb<|eot_id|>" in plain
    worded = spoken(chosen(None, tiny_tokenizer(STRICT)), two, tiny_tokenizer(STRICT))[2]
    assert "a\nb<|im_end|>" in worded


def test_thoughts_and_words_before_a_call() -> None:
    tokenizer = speaking("qwen3")
    said = Conversation((user("q"), Message("function", f"<think>\nhm\n</think>\n\n{CALL}")))
    assert spoken(chosen("qwen3", tokenizer), said, tokenizer)[1] == (
        f"<think>\nhm\n</think>\n\n{SAID['qwen']}<|im_end|>\n"
    )


def test_tool_format_of_the_recipe() -> None:
    tokenizer = speaking("qwen")
    texts = spoken(chosen("qwen", tokenizer, tool_format="llama3"), CALLING, tokenizer)
    assert "Cutting Knowledge Date" in texts[0]
    # LLaMA-Factory's rule: the end token alone, without the template's line break.
    assert texts[1] == f"{SAID['llama3']}<|im_end|>"
    with pytest.raises(DataError, match="no tool_format 'qwem'") as error:
        chosen("qwen", tokenizer, tool_format="qwem")
    assert "'qwen'" in error.value.hint
    with pytest.raises(DataError, match="no tool_format"):
        chosen(None, tokenizer, tool_format="qwem")
    assert tool_format("mistral").name == "mistral"


IM = "<|im_end|>\n"


def test_the_tokenizers_own_template_is_given_tools_and_calls() -> None:
    tokenizer = knowing(MARKS, TOOLED, ORDINARY)
    template = chosen(None, tokenizer)
    tool = json.dumps({"type": "function", "function": json.loads(TOOLS)[0]}, ensure_ascii=False)
    assert spoken(template, CALLING, tokenizer) == [
        f"<|im_start|>system\n<tools>\n{tool}\n</tools>{IM}<|im_start|>user\nq{IM}<|im_start|>assistant\n",
        f"{SAID['qwen']}{IM}",
        f"<|im_start|>user\n<tool_response>\nres\n</tool_response>{IM}<|im_start|>assistant\n",
        f"done{IM}",
    ]
    assert template.warning == ""


def test_a_template_of_openais_form_gets_arguments_as_text() -> None:
    """DeepSeek's adds them to a text, which an object cannot be."""
    tokenizer = knowing(
        MARKS, TOOLED.replace("(call.function.arguments | tojson)", "call.function.arguments"), ORDINARY
    )
    assert spoken(chosen(None, tokenizer), CALLING, tokenizer)[1] == f"{SAID['qwen']}{IM}"


def test_a_template_without_tools_has_them_in_words_and_says_so() -> None:
    tokenizer = tiny_tokenizer(STRICT)
    template = chosen(None, tokenizer)
    texts = spoken(template, CALLING, tokenizer)
    assert DESCRIBED["default"] in texts[0]
    assert texts[1:] == [f"{SAID['default']}{IM}", f"<|im_start|>user\nres{IM}<|im_start|>assistant\n", f"done{IM}"]
    assert "no place for tools" in template.warning
    asked = chosen(None, tokenizer, tool_format="qwen")
    assert spoken(asked, CALLING, tokenizer)[1] == f"{SAID['qwen']}{IM}"
    assert asked.warning == ""


@pytest.mark.parametrize("chat_template", [TOOLED, CHATML])
def test_a_dialogue_that_waits_for_an_answer_has_its_tools(chat_template: str) -> None:
    tokenizer = knowing(MARKS, chat_template, ORDINARY)
    for name in (None, "qwen"):
        template = chosen(name, tokenizer)
        [pieces] = encode_pieces(template.pieces([CALLING], tokenizer), tokenizer)
        prompt = template.prompt_ids(CALLING.messages[:-1], tokenizer, TOOLS)
        assert prompt == [token for piece in pieces[:-1] for token in piece]  # type: ignore[union-attr]
