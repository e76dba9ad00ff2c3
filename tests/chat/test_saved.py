"""Conversations as JSON files: what is written is read again, by others too, and files of others are read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tuitune.chat.base import Turn
from tuitune.chat.conversation import Conversation
from tuitune.chat.partial import Partial
from tuitune.chat.saved import Saved, read, read_file, save, written
from tuitune.chat.tools import BETWEEN_REPLIES, Call, content
from tuitune.errors import DataError, UsageError

TOOLS = json.dumps([{"name": "weather", "description": "of a city", "parameters": {"type": "object"}}])
CALLS = [Call("weather", {"city": "Zürich"}), Call("weather", {"city": "Rome"})]
TALK = Saved(
    (
        Turn("user", "Weather?"),
        Turn("function", content("<think>\nhm\n</think>\n\nI look.", CALLS)),
        Turn("observation", f"rain{BETWEEN_REPLIES}sun"),
        Turn("assistant", "Rain and sun."),
        Turn("user", "Thanks"),
    ),
    "Be kind.",
    TOOLS,
)


def test_what_is_written_is_read_again() -> None:
    assert read(written(TALK)) == TALK


def test_what_is_written_has_openais_form() -> None:
    found = json.loads(written(TALK))
    roles = [message["role"] for message in found["messages"]]
    assert roles == ["system", "user", "assistant", "tool", "tool", "assistant", "user"]
    calls = found["messages"][2]["tool_calls"]
    assert [json.loads(call["function"]["arguments"]) for call in calls] == [{"city": "Zürich"}, {"city": "Rome"}]
    assert [call["id"] for call in calls] == [message["tool_call_id"] for message in found["messages"][3:5]]
    assert found["tools"] == json.loads(TOOLS)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]),
        json.dumps([{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}]),
        json.dumps({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}),
        json.dumps({"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]},
                                 {"role": "assistant", "content": "b"}]}),
    ],
)  # fmt: skip
def test_files_of_others_are_read(text: str) -> None:
    assert read(text) == Saved((Turn("user", "a"), Turn("assistant", "b")))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "no JSON"),
        ("3", "no messages"),
        ("[]", "no messages"),
        ('[{"messages": [1]}, {"messages": [2]}]', "2 conversations"),
        ('[{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]', "assistant should speak"),
        ('{"messages": [{"role": "user", "content": "a"}], "tools": [{"no": 1}]}', "no list of tools"),
    ],
)
def test_what_is_no_conversation_is_refused_in_words(text: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        read(text)


def test_a_kept_chat_is_a_file_too(tmp_path: Path) -> None:
    talk = Conversation(tmp_path / "x.jsonl", system="S", tools=TOOLS)
    for turn in TALK.turns:
        talk.add(turn)
    assert read_file(tmp_path / "x.jsonl") == Saved(TALK.turns, "S", TOOLS)


def test_nothing_is_written_over(tmp_path: Path) -> None:
    save(tmp_path / "a.json", TALK)
    assert read_file(tmp_path / "a.json") == TALK
    with pytest.raises(UsageError, match="exists already"):
        save(tmp_path / "a.json", TALK)
    save(tmp_path / "a.txt", Saved((Turn("user", "\x1b[2Ja"),)))
    assert (tmp_path / "a.txt").read_text() == "user: a\n\n"
    with pytest.raises(UsageError, match="cannot be written"):
        save(tmp_path / "nowhere" / "a.json", TALK)


def test_what_a_crash_cut_off_is_read_with_it_and_left_where_it_is(tmp_path: Path) -> None:
    talk = Conversation(tmp_path / "x.jsonl")
    talk.ask("a")
    Partial(talk.path, "tuned").add("half an ans")
    for _ in range(2):
        assert read_file(tmp_path / "x.jsonl").turns == (Turn("user", "a"), Turn("assistant", "half an ans"))
    talk.answer("whole")
    assert read_file(tmp_path / "x.jsonl").turns[-1].content == "whole"


def test_a_comparison_is_told_from_a_conversation() -> None:
    with pytest.raises(DataError, match="holds a comparison") as caught:
        read('{"left": {"messages": []}, "right": {"messages": []}}')
    assert "nobody named" in caught.value.hint
