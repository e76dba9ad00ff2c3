"""A conversation that waits for an answer, as OpenAI's clients send it: read as the rows of data sets are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tuitune.data.conversation import Message, UnusableRow
from tuitune.data.convert.tools import tools_text
from tuitune.data.convert.turns import read_turns
from tuitune.data.entry import OPENAI_TAGS
from tuitune.errors import DataError


def asked(messages: Sequence[Mapping[str, Any]], *, answered: bool = False) -> list[Message]:
    """Return the messages, a system message first where there is one. Raises DataError.

    They end with the user or with what tools answered; with an answer where that is to be judged (`answered`).
    """
    try:
        turns = read_turns([*messages], "messages", OPENAI_TAGS)
    except UnusableRow as reason:
        raise DataError(str(reason)) from reason
    if turns.files:
        raise DataError("only text can be sent: pictures, videos and sounds are not supported yet")
    if turns.answered != answered:
        ends = "an answer" if answered else "a message of the user, or with what a tool answered"
        raise DataError(f"the conversation does not end with {ends}")
    system = [Message("system", turns.system)] if turns.system else []
    return [*system, *turns.messages]


def offered(tools: Sequence[Mapping[str, Any]]) -> str:
    """Return the functions that a model is offered as the text that templates take, "" for none. Raises DataError."""
    try:
        return tools_text({"tools": [*tools]}, "tools")
    except UnusableRow as reason:
        raise DataError(str(reason)) from reason
