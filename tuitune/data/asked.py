"""A conversation that waits for an answer, as OpenAI's clients send it: read as the rows of data sets are."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tuitune.data.conversation import Message, UnusableRow
from tuitune.data.convert.tools import tools_text
from tuitune.data.convert.turns import read_turns
from tuitune.data.entry import OPENAI_TAGS
from tuitune.errors import DataError

_ROW = re.compile(r"\bmessage (?P<number>[0-9]+)|\btool (?P<tool>[0-9]+) of 'tools'")  # as faults of rows name them


class Misasked(DataError):
    """A request that cannot be read. place: the part that is meant, as OpenAI's errors name it: `messages[2]`."""

    def __init__(self, message: str, place: str) -> None:
        super().__init__(message)
        self.place = place


def asked(
    messages: Sequence[Mapping[str, Any]], *, answered: bool = False, name: str = "messages",
    places: Sequence[int] | None = None,
) -> list[Message]:  # fmt: skip
    """Return the messages, a system message first where there is one. Raises Misasked.

    They end with the user or with what tools answered; with an answer where that is to be judged (`answered`). name:
    how faults call the list; places: where in it each message stood.
    """
    try:
        turns = read_turns([*messages], name, OPENAI_TAGS)
    except UnusableRow as reason:
        raise _misasked(str(reason), name, places or range(len(messages))) from reason
    if turns.files:
        raise Misasked("only text can be sent: pictures, videos and sounds are not supported yet", name)
    if turns.answered != answered:
        ends = "an answer" if answered else "a message of the user, or with what a tool answered"
        raise Misasked(f"the conversation does not end with {ends}", name)
    system = [Message("system", turns.system)] if turns.system else []
    return [*system, *turns.messages]


def offered(tools: Sequence[Mapping[str, Any]]) -> str:
    """Return the functions that a model is offered as the text that templates take, "" for none. Raises Misasked."""
    try:
        return tools_text({"tools": [*tools]}, "tools")
    except UnusableRow as reason:
        raise _misasked(str(reason), "tools", range(len(tools))) from reason


def _misasked(reason: str, name: str, places: Sequence[int]) -> Misasked:
    """Return a fault of a row in a client's words: rows count their messages from 1, requests from 0."""
    found = _ROW.search(reason)
    if found is None:
        return Misasked(reason, name)
    place = f"{name}[{places[int(found['number'] or found['tool']) - 1]}]"
    return Misasked(f"{reason[: found.start()]}{place}{reason[found.end() :]}", place)
