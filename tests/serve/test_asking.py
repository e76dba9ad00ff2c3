"""What is wrong with a request is told in plain words, at the right place and in little time."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from tests.serve.given import Scripted
from tuitune.serve import drafting
from tuitune.serve.asking import ChatAsked, ScoreAsked, TextAsked, read
from tuitune.serve.refusal import Refusal

SAID = {"messages": [{"role": "user", "content": "Hi"}]}
MANY = 200_000


def refused(asked: dict[str, Any], kind: type[BaseModel]) -> Refusal:
    with pytest.raises(Refusal) as found:
        read(orjson.dumps(asked), kind)
    assert found.value.status == 422
    return found.value


@pytest.mark.parametrize(
    ("kind", "asked", "words"),
    [
        (ChatAsked, {}, "messages is missing"),
        (ChatAsked, {"messages": []}, "messages: it should have at least 1 entry"),
        (ChatAsked, {"messages": "hi"}, "messages: it should be a list"),
        (ChatAsked, {"messages": ["hi"]}, "messages[0]: it should be an object"),
        (ChatAsked, {**SAID, "stop": [1]}, "stop[0]: it should be a text"),
        (ChatAsked, {**SAID, "stop": 5}, "stop: it should be a text or a list"),
        (ChatAsked, {**SAID, "stop": ["a"] * 20}, "stop: it should have at most 16 entries"),
        (ChatAsked, {**SAID, "stop": ["a", ""]}, "stop[1]: it should have at least 1 character"),
        (ChatAsked, {**SAID, "seed": "x", "stop": ""},
         "seed: it should be a whole number; stop: it should have at least 1 character"),
        (ChatAsked, {**SAID, "temperature": 3, "top_p": 0, "stream": "yes"},
         "stream: it should be true or false; temperature: it should be at most 2; top_p: it should be above 0"),
        (ChatAsked, {**SAID, "tool_choice": "all"}, "tool_choice: it should be none or auto"),
        (ChatAsked, {**SAID, "stream": True, "stream_options": {"x": 1}}, "there is no parameter 'stream_options.x'"),
        (ChatAsked, {**SAID, "min-p": 1}, "there is no parameter 'min-p'"),
        (TextAsked, {"prompt": 5}, "prompt: it should be a text or a list"),
        (TextAsked, {"prompt": [1, "a"]}, "prompt[1]: it should be a whole number"),
        (TextAsked, {"prompt": [[1], [-2]]}, "prompt[1][0]: it should be at least 0"),
        (TextAsked, {"prompt": ["a", []]}, "prompt[1]: it should have at least 1 entry"),
        (ScoreAsked, {"messages": [1]}, "messages[0]: it should be a text or a list"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_in_plain_words(kind: type[BaseModel], asked: dict[str, Any], words: str) -> None:
    refusal = refused(asked, kind)
    assert refusal.message == words
    assert refusal.param == words.removeprefix("there is no parameter ").split(":")[0].split(" is ")[0].strip("'")


@pytest.mark.parametrize(
    ("kind", "asked"),
    [
        (ChatAsked, {"messages": [1] * MANY}),
        (ChatAsked, {**SAID, "tools": [1] * MANY}),
        (ChatAsked, {**SAID, **{f"key{n}": n for n in range(MANY)}}),
        (ChatAsked, {**SAID, "stream": True, "stream_options": {f"key{n}": n for n in range(MANY)}}),
        (TextAsked, {"prompt": [0.5] * MANY}),
        (ScoreAsked, {"messages": [1] * MANY}),
    ],
)
def test_a_million_faults_make_no_long_answer(kind: type[BaseModel], asked: dict[str, Any]) -> None:
    assert len(refused(asked, kind).message) < 200


def test_of_many_reasons_the_first_are_told() -> None:
    words = refused({**SAID, **{f"key{n}": n for n in range(30)}}, ChatAsked).message
    assert words.count("there is no parameter") == 10
    assert words.endswith("; and 20 more")


TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
USER, ANSWER = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello."}


@pytest.mark.parametrize(
    ("asked", "words", "param"),
    [
        ({"messages": [USER, USER]}, "messages[1] is from the user, where the assistant should speak", "messages[1]"),
        ({"messages": [{"role": "user"}]}, "messages[0] has no 'content'; it has 'role'", "messages[0]"),
        ({"messages": [USER, {**ANSWER, "content": ""}, USER]}, "the content of messages[1] is empty", "messages[1]"),
        (
            {"messages": [USER, {**ANSWER, "role": "message 1"}]},
            "messages[1] has the unknown role 'message 1'; known are",
            "messages[1]",
        ),
        ({"messages": [USER, ANSWER]}, "the conversation does not end with a message of the user", "messages"),
        (
            {"messages": [USER], "tools": [TOOL, {"type": "function"}]},
            "tools[1] has no name; it has 'type'",
            "tools[1]",
        ),
        (
            {"messages": [USER], "tools": [{"type": "function", "function": "f"}]},
            "tools[0] has a function that is text, not an object",
            "tools[0]",
        ),
    ],
)
def test_places_are_those_that_the_client_counts(asked: dict[str, Any], words: str, param: str) -> None:
    with pytest.raises(Refusal) as found:
        drafting.chat_prompt(ChatAsked.model_validate(asked), Scripted().models["tiny"])
    assert found.value.message.startswith(words)
    assert (found.value.status, found.value.param) == (422, param)


def test_places_in_conversations_to_be_scored_are_those_of_the_list() -> None:
    with pytest.raises(Refusal, match=r"^messages\[3\]\[1\] is from the user, where the assistant") as found:
        drafting.told_of([USER, USER, ANSWER], 3)
    assert found.value.param == "messages[3][1]"
