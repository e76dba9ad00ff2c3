"""Tools: what a model is offered, what it calls, and how the conversation goes on."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.tiny import tiny_tokenizer
from tuitune.chat.base import Turn
from tuitune.chat.local import LocalChat
from tuitune.chat.tools import Call, calls, checked, content, names, parts, read_file, results, shown
from tuitune.data.conversation import BETWEEN_REPLIES
from tuitune.data.templates import Style, choose
from tuitune.data.templates.reading import form_of, opened
from tuitune.data.templates.tools import TOOL_FORMATS
from tuitune.errors import DataError

WEATHER = {"name": "weather", "description": "of a city", "parameters": {"type": "object", "properties": {}}}
TOOLS = json.dumps([WEATHER])
CALLS = [Call("weather", {"city": "Zürich", "days": 2}), Call("weather", {"city": "Rome", "days": 1})]
ASKED = [Turn("user", "Weather?")]
TAKES_TOOLS = (
    "{% if tools %}<tools>{{ tools | tojson }}</tools> <tool_call>{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}"
    "{% if m.tool_calls is defined %}{{ m.tool_calls | tojson }}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class Says:
    """Stands in for a model: writes what it is told, then ends."""

    def __init__(self, text: str) -> None:
        self.text, self.read = text, ""
        self.config = None

    def parameters(self) -> Any:
        return iter([torch.zeros(1)])

    def modules(self) -> list[Any]:
        return []

    def eval(self) -> None: ...

    def generate(self, input_ids: Any, streamer: Any, **_: Any) -> None:
        tokenizer = tiny_tokenizer()
        self.read = str(tokenizer.decode(input_ids[0]))
        streamer.put(input_ids)
        for token in [*tokenizer(self.text, add_special_tokens=False)["input_ids"], 2]:
            streamer.put(torch.tensor([token]))
        streamer.end()


def chat(text: str, template: str | None = "qwen3", jinja: str | None = None, **style: Any) -> tuple[LocalChat, Says]:
    tokenizer = tiny_tokenizer(jinja) if jinja is not None else tiny_tokenizer()
    model = Says(text)
    return LocalChat(model, tokenizer, choose(template, tokenizer, None, Style(**style)), options={}), model


@pytest.mark.parametrize("name", sorted(TOOL_FORMATS))
def test_what_a_format_writes_is_read_again(name: str) -> None:
    form = TOOL_FORMATS[name]
    several = CALLS[:1] if form.calling.single else CALLS
    template = choose("chatml", tiny_tokenizer(), None, Style(tool_format=name))
    assert form_of(template, tiny_tokenizer()) is form
    assert calls(template, tiny_tokenizer(), form.say(several)) == ("", several)


def test_what_is_said_before_calls_stays_said() -> None:
    template = choose("qwen3", tiny_tokenizer())
    text = 'I look.\n<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>'
    assert calls(template, tiny_tokenizer(), text) == ("I look.", [Call("weather", {"city": "Rome"})])


@pytest.mark.parametrize(
    "text",
    [
        "No call at all.",
        "<tool_call>\nnot json\n</tool_call>",
        '<tool_call>\n{"name": "weather", "arguments": "Rome"}\n</tool_call>',
        '<tool_call>\n{"name": "", "arguments": {}}\n</tool_call>',
        '<tool_call>\n{"arguments": {}}\n</tool_call>',
        '<tool_call>\n{"name": "weather", "argu',
    ],
)
def test_what_cannot_be_read_stays_text(text: str) -> None:
    assert calls(choose("qwen3", tiny_tokenizer()), tiny_tokenizer(), text) == (text, [])


def test_a_tokenizers_own_template_is_read_by_what_it_shows() -> None:
    for jinja, name in (
        (TAKES_TOOLS, "qwen"),
        (TAKES_TOOLS.replace("<tool_call>", "[TOOL_CALLS]"), "mistral"),
        (TAKES_TOOLS.replace("<tool_call>", "<tool_call><arg_key>"), "glm4_moe"),
        (TAKES_TOOLS.replace("<tool_call>", ""), "qwen"),
    ):
        tokenizer = tiny_tokenizer(jinja)
        assert form_of(choose(None, tokenizer), tokenizer).name == name
    assert form_of(choose(None, tiny_tokenizer()), tiny_tokenizer()).name == "default"  # it has no place for tools


def test_an_answer_calls_and_goes_on_with_what_the_tool_said() -> None:
    call = '<tool_call>\n{"name": "weather", "arguments": {"city": "Rome"}}\n</tool_call>'
    said = f"<think>\nhm\n</think>\n\nI look.\n{call}"
    partner, model = chat(said)
    done = partner.reply(ASKED, tools=TOOLS, sampling={})
    assert '"name": "weather"' in model.read
    assert (done.role, done.thoughts, done.said) == ("function", "hm", "I look.")
    assert done.calls == (Call("weather", {"city": "Rome"}),)
    turn = done.turn("tiny")
    assert turn.content.startswith("<think>\nhm\n</think>\n\nI look.\n[{")
    partner.reply([*ASKED, turn, Turn("observation", "sun")], tools=TOOLS, sampling={})
    assert call in model.read
    assert "<tool_response>\nsun\n</tool_response>" in model.read


def test_without_tools_nothing_is_a_call() -> None:
    said = '<tool_call>\n{"name": "weather", "arguments": {}}\n</tool_call>'
    partner, model = chat(said)
    done = partner.reply(ASKED, sampling={})
    assert (done.role, done.content, done.calls) == ("assistant", said, ())
    assert "weather" not in model.read


def test_thoughts_that_the_prompt_has_opened_belong_to_the_answer() -> None:
    jinja = "{% for m in messages %}<|im_start|>{{ m.content }}<|im_end|>{% endfor %}<|im_start|>assistant\n<think>\n"
    tokenizer = tiny_tokenizer()
    prompt = tokenizer("<|im_start|>assistant\n<think>\n", add_special_tokens=False)["input_ids"]
    assert opened(prompt, tokenizer) == "<think>\n"
    assert opened(prompt[:3], tokenizer) == ""
    partner, _ = chat("hm\n</think>\n\nYes.", None, jinja)
    pieces: list[str] = []
    done = partner.reply(ASKED, sampling={}, on_text=pieces.append)
    assert "".join(pieces) == done.text == "<think>\nhm\n</think>\n\nYes."
    assert (done.thoughts, done.said) == ("hm", "Yes.")


def test_tools_are_checked_before_they_are_offered(tmp_path: Path) -> None:
    path = tmp_path / "tools.json"
    path.write_text(json.dumps([{"type": "function", "function": WEATHER}]))
    assert names(read_file(path)) == ["weather"]
    assert names(checked(json.dumps(WEATHER))) == ["weather"]
    assert checked("") == checked("[]") == ""
    for text, reason in (("{", "not valid JSON"), ("[3]", "not an object"), ('[{"x": 1}]', "no name")):
        with pytest.raises(DataError, match=reason):
            checked(text)
    with pytest.raises(DataError, match="cannot be read"):
        read_file(tmp_path / "none.json")


def test_calls_and_results_are_for_people_too() -> None:
    assert shown(Call("weather", {"city": "Z\x1b[2J", "days": 2})) == 'weather(city="Z\\u001b[2J", days=2)'
    assert shown(Call("long", {"text": "x" * 200})).endswith("…)")
    assert results("rain\n---\nsun\n") == f"rain{BETWEEN_REPLIES}sun"
    assert results("no - dashes --- inside") == "no - dashes --- inside"


@pytest.mark.parametrize("said", ["", "I look."])
def test_the_content_of_a_call_can_be_taken_apart(said: str) -> None:
    found: tuple[str, Sequence[Call]] = parts(content(said, CALLS))
    assert found == (said, CALLS)
    assert parts("edited beyond reading") == ("edited beyond reading", [])
