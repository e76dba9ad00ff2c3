"""Thoughts, calls of tools and what is said come apart, however an answer is cut into pieces."""

from __future__ import annotations

import json
from typing import Any

import pytest
from openai import OpenAI

from tests.serve.given import MESSAGES, TOKEN, Scripted, served
from tuitune.data.templates.tools import tool_format
from tuitune.serve.drafting import in_order
from tuitune.serve.refusal import Refusal
from tuitune.serve.spoken import Spoken

TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Tell the weather.",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    }
]
CALL = '<tool_call>\n{"name": "weather", "arguments": {"city": "Paris"}}\n</tool_call>'


def told(
    text: str, size: int, form: str | None = None, opened: str = ""
) -> tuple[str, str, list[tuple[str, Any]], bool]:
    spoken = Spoken(None if form is None else tool_format(form), opened=opened)
    parts = [spoken.feed(text[at : at + size]) for at in range(0, len(text), size)]
    early = any(part.said for part in parts)
    parts.append(spoken.end())
    calls = [(call.name, call.arguments) for part in parts for call in part.calls]
    return "".join(part.thought for part in parts), "".join(part.said for part in parts), calls, early


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize(
    ("text", "thought", "said"),
    [
        ("plain words", "", "plain words"),
        ("  plain words ", "", "  plain words "),
        ("<think>\nhm, well\n</think>\n\nyes", "hm, well", "yes"),
        ("\n<think>\n\n</think>\n\nyes", "", "yes"),
        ("<think>never done", "never done", ""),
        ("<thin air", "", "<thin air"),
        ("<seed:think>a < b</seed:think>c </think> d", "a < b", "c </think> d"),
        ("", "", ""),
    ],
)
def test_thoughts_come_apart(text: str, thought: str, said: str, size: int) -> None:
    assert told(text, size)[:2] == (thought, said)


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_a_prompt_may_have_opened_the_thoughts(size: int) -> None:
    assert told("hm\n</think>\n\nyes", size, opened="<think>")[:2] == ("hm", "yes")


@pytest.mark.parametrize("size", [1, 3, 7, 1000])
@pytest.mark.parametrize(
    ("form", "text", "said"),
    [
        ("qwen", f"I look it up.\n{CALL}", "I look it up."),
        ("qwen", f"<think>\nhm\n</think>\n\n{CALL}", ""),
        ("llama3", '{"name": "weather", "parameters": {"city": "Paris"}}', ""),
        ("mistral", '[{"name": "weather", "arguments": {"city": "Paris"}}]', ""),
        ("default", 'Action: weather\nAction Input: {"city": "Paris"}', ""),
        ("glm4", 'weather\n{"city": "Paris"}', ""),
    ],
)
def test_calls_come_apart(form: str, text: str, said: str, size: int) -> None:
    thought, spoken, calls, _ = told(text, size, form)
    assert (spoken, calls) == (said, [("weather", {"city": "Paris"})])
    assert thought == ("hm" if "<think>" in text else "")


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("form", ["qwen", "llama3", "default"])
def test_what_is_no_call_is_said_as_it_comes(form: str, size: int) -> None:
    text = "No tool is needed <b>here</b>: 2 < 3, and that is all. "
    assert told(text, size, form) == ("", text, [], True)
    broken = "<tool_call>\nno json"
    assert told(broken, size, "qwen")[1:3] == (broken, [])


def test_a_call_reaches_the_client_whole_and_streamed() -> None:
    call = 'Action: weather\nAction Input: {"city": "Paris"}'  # a template without tools has them told in words
    engine = Scripted(f"I look.\n{call}", f"I look.\n{call}", "words", f"{call}\n{call}")
    with served(engine) as running:
        client = OpenAI(base_url=f"{running.url}/v1", api_key=TOKEN, max_retries=0)
        asked: dict[str, Any] = {"model": "tiny", "messages": MESSAGES, "tools": TOOLS}
        whole = client.chat.completions.create(**asked, tool_choice="auto").choices[0]
        assert whole.finish_reason == "tool_calls"
        assert whole.message.content == "I look."
        [made] = whole.message.tool_calls or []
        assert (made.type, made.function.name) == ("function", "weather")
        assert json.loads(made.function.arguments) == {"city": "Paris"}
        assert made.id.startswith("call_")

        deltas = [chunk.choices[0] for chunk in client.chat.completions.create(**asked, stream=True)]
        assert "".join(each.delta.content or "" for each in deltas) == "I look."
        parts = [part for each in deltas for part in each.delta.tool_calls or []]
        assert [part.index for part in parts] == [0, 0]
        assert (parts[0].id or "").startswith("call_")
        arguments = "".join(part.function.arguments or "" for part in parts if part.function)
        assert json.loads(arguments) == {"city": "Paris"}
        assert deltas[-1].finish_reason == "tool_calls"

        client.chat.completions.create(**asked, tool_choice="none")
        shown = [engine.models["tiny"].tokenizer.decode(order.prompt) for order in engine.asked]
        assert "weather" in shown[0]
        assert "weather" not in shown[2]

        one = client.chat.completions.create(**asked, parallel_tool_calls=False).choices[0]
        assert len(one.message.tool_calls or []) == 1


def test_what_tools_answered_goes_back_in_the_order_of_the_calls() -> None:
    calls = [
        {"id": name, "type": "function", "function": {"name": "weather", "arguments": json.dumps({"city": name})}}
        for name in ("Paris", "Rome")
    ]
    messages: list[dict[str, Any]] = [
        *MESSAGES,
        {"role": "assistant", "content": None, "tool_calls": calls, "refusal": None, "annotations": []},
        {"role": "tool", "tool_call_id": "Rome", "content": "sun"},
        {"role": "tool", "tool_call_id": "Paris", "content": "rain", "name": "weather"},
    ]
    assert in_order(messages) == [0, 1, 3, 2]
    engine = Scripted("It rains in Paris.")
    with served(engine) as running, running.client() as client:
        asked = {"model": "tiny", "messages": messages, "tools": TOOLS}
        found = client.post("/v1/chat/completions", json=asked).json()
        assert found["choices"][0]["message"]["content"] == "It rains in Paris."
        text = engine.models["tiny"].tokenizer.decode(engine.asked[0].prompt)
        assert text.index("rain") < text.index("sun")
        messages[-2]["content"] = 5
        refused = client.post("/v1/chat/completions", json=asked)
        assert refused.json()["error"]["param"] == "messages[2]"
        assert refused.json()["error"]["message"].startswith("the content of messages[2] is a number, not text")
        messages[-1]["tool_call_id"] = "London"
        refused = client.post("/v1/chat/completions", json=asked)
        assert refused.status_code == 422
        assert "no call before it" in refused.json()["error"]["message"]


def test_thoughts_reach_the_client_apart() -> None:
    engine = Scripted(*["<think>\nhm\n</think>\n\nyes"] * 2)
    with served(engine) as running, running.client() as client:
        asked = {"model": "tiny", "messages": MESSAGES}
        whole = client.post("/v1/chat/completions", json=asked).json()["choices"][0]["message"]
        assert (whole["reasoning_content"], whole["content"]) == ("hm", "yes")
        lines = client.post("/v1/chat/completions", json={**asked, "stream": True}).text.split("\n\n")
        deltas = [json.loads(line[6:])["choices"][0]["delta"] for line in lines if line.startswith("data: {")]
        assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "hm"
        assert "".join(delta.get("content", "") for delta in deltas) == "yes"
        assert lines[-2] == "data: [DONE]"


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ({"role": "user", "content": "Hi", "name": "Ann"}, "the name of a speaker is not shown"),
        ({"role": "user", "content": "Hi", "mood": "good"}, "unknown part 'mood'"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://a/b.png"}}]}, "only text"),
        ({"role": "judge", "content": "Hi"}, "unknown role"),
        ({"role": "user", "content": None}, "not text"),
        ({"content": "Hi"}, "no 'role'"),
    ],
)
def test_messages_that_would_not_be_read_whole_are_refused(message: dict[str, Any], words: str) -> None:
    with served(Scripted("never")) as running, running.client() as client:
        found = client.post("/v1/chat/completions", json={"model": "tiny", "messages": [message]})
    assert found.status_code == 422
    assert words in found.json()["error"]["message"]
    assert Refusal(422, "x").kind == found.json()["error"]["type"]
