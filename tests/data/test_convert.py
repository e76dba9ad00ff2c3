"""Every format becomes the same conversation."""

from __future__ import annotations

from typing import Any

import pytest

from tuitune.data.catalog import parse_entry
from tuitune.data.conversation import Conversation, Message
from tuitune.data.convert import convert

PAIR = (Message("user", "One?"), Message("assistant", "1"))
TWO = (*PAIR, Message("user", "Two?"), Message("assistant", "2"))
ROLES = [{"role": m.role, "content": m.content} for m in TWO]
SPEAKERS = [{"from": "human" if m.role == "user" else "gpt", "value": m.content} for m in TWO]
NAMED = {"prompt": "instruction", "query": "input", "response": "output", "history": "past", "system": "who"}


def converted(row: Any, **entry: Any) -> Conversation:
    return convert(row, parse_entry("rows", {"file_name": "rows.json", **entry}, "dataset_info.json"))


@pytest.mark.parametrize(
    ("row", "entry", "expected"),
    [
        ({"instruction": "One?", "output": "1"}, {}, Conversation(PAIR)),
        ({"instruction": "One?", "input": "", "output": "1"}, {}, Conversation(PAIR)),
        ({"instruction": "One?", "input": None, "output": "1"}, {}, Conversation(PAIR)),
        (
            {"instruction": "Add", "input": "1 and 2", "output": "3"},
            {},
            Conversation((Message("user", "Add\n1 and 2"), Message("assistant", "3"))),
        ),
        ({"instruction": "", "input": "One?", "output": "1"}, {}, Conversation(PAIR)),
        (
            {"instruction": "Two?", "output": "2", "past": [["One?", "1"]], "who": "Be brief."},
            {"columns": NAMED},
            Conversation(TWO, "Be brief."),
        ),
        ({"instruction": "One?", "output": "1", "past": [], "who": ""}, {"columns": NAMED}, Conversation(PAIR)),
        ({"instruction": "One?", "output": "1", "past": None, "who": None}, {"columns": NAMED}, Conversation(PAIR)),
        ({"conversations": SPEAKERS}, {"formatting": "sharegpt"}, Conversation(TWO)),
        (
            {"conversations": [{"from": "system", "value": "Be brief."}, *SPEAKERS]},
            {"formatting": "sharegpt"},
            Conversation(TWO, "Be brief."),
        ),
        (
            {"talk": SPEAKERS, "who": "Be brief."},
            {"formatting": "sharegpt", "columns": {"messages": "talk", "system": "who"}},
            Conversation(TWO, "Be brief."),
        ),
        (
            {"conversations": ROLES},
            {
                "formatting": "sharegpt",
                "tags": {
                    "role_tag": "role",
                    "content_tag": "content",
                    "user_tag": "user",
                    "assistant_tag": "assistant",
                },
            },
            Conversation(TWO),
        ),
        ({"messages": ROLES}, {"formatting": "openai"}, Conversation(TWO)),
        (
            {"messages": [{"role": "system", "content": "Be brief."}, *ROLES]},
            {"formatting": "openai"},
            Conversation(TWO, "Be brief."),
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "One?"}]}, ROLES[1]]},
            {"formatting": "openai"},
            Conversation(PAIR),
        ),
    ],
)
def test_rows(row: Any, entry: dict[str, Any], expected: Conversation) -> None:
    assert converted(row, **entry) == expected


def test_columns_that_are_not_listed_are_not_read() -> None:
    row = {"instruction": "One?", "input": "never read", "output": "1"}
    assert converted(row, columns={"prompt": "instruction", "response": "output"}) == Conversation(PAIR)


def test_openai_rows_get_no_system_text() -> None:
    assert converted({"messages": ROLES}, formatting="openai").system is None


def test_text_is_taken_as_it_is() -> None:
    talk = converted({"instruction": "  One?\n", "output": "\n1  "})
    assert [message.content for message in talk.messages] == ["  One?\n", "\n1  "]
