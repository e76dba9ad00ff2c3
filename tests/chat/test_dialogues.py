from __future__ import annotations

import json

import pytest

from tuitune.chat.base import Turn
from tuitune.chat.dialogues import dialogues
from tuitune.errors import DataError

TURNS = [Turn("user", "one"), Turn("assistant", "two")]
MESSAGES = [{"role": "user", "content": "one"}, {"role": "assistant", "content": "two"}]
TOLD = [{"role": "system", "content": "be kind"}, *MESSAGES]
SHARED = [{"from": "human", "value": "one"}, {"from": "gpt", "value": "two"}]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (json.dumps(MESSAGES, indent=1), [(None, TURNS)]),
        (json.dumps(TOLD), [("be kind", TURNS)]),
        (json.dumps({"messages": MESSAGES, "system": "be brief"}), [("be brief", TURNS)]),
        (json.dumps({"conversations": SHARED}), [(None, TURNS)]),
        (json.dumps([MESSAGES, TOLD]), [(None, TURNS), ("be kind", TURNS)]),
        (json.dumps([{"prompt": "one", "response": "two"}]), [(None, TURNS)]),
        (f"{json.dumps(MESSAGES)}\n\n{json.dumps({'messages': TOLD})}\n", [(None, TURNS), ("be kind", TURNS)]),
        (json.dumps({"prompt": MESSAGES + MESSAGES[:1], "response": "two"}), [(None, TURNS + TURNS)]),
    ],
)
def test_every_form_is_read(text: str, wanted: object) -> None:
    assert dialogues(text) == wanted


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no conversation"),
        ("[]", "no conversation"),
        ("1", "no message"),
        ('{"messages": [{"role": "tool", "content": "x"}]}', "no message"),
        ('[[{"role": "user"}]]', "conversation 1 has"),
        ('{"prompt": "one"}', "no message"),
        ('{"a": 1}\n{"b"', "line 2 is no JSON"),
    ],
)
def test_what_is_no_conversation_is_refused(text: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        dialogues(text)
