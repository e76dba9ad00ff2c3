"""Answers that are judged: the better and the worse one of a pair, and one with a label."""

from __future__ import annotations

from collections.abc import Mapping

from tuitune.data.conversation import Message, UnusableRow, describe, text_of
from tuitune.data.convert.row import structure
from tuitune.data.convert.turns import ANSWERS, Turns, is_message, read_message, read_turns, tags_of


def pair(
    start: Turns | None, chosen: object, rejected: object, columns: tuple[str, str], tags: Mapping[str, str]
) -> tuple[Turns, Message]:
    """Return the conversation with the better answer, and the worse answer; raises UnusableRow.

    Each value is the answer (text, or a message), or the whole conversation with its answer (trl's forms); `start` is
    what the row says elsewhere about the beginning.
    """
    better, worse = (whole(start, value, name, tags) for value, name in zip((chosen, rejected), columns, strict=True))
    if better.messages[:-1] != worse.messages[:-1] or better.system != worse.system:
        raise UnusableRow(f"{columns[0]!r} and {columns[1]!r} differ in more than their last answer")
    if len(better.messages) < 2:
        raise UnusableRow(f"there is no prompt before the answers of {columns[0]!r} and {columns[1]!r}")
    if better.messages[-1].content == worse.messages[-1].content:
        raise UnusableRow(f"{columns[0]!r} and {columns[1]!r} are the same answer")
    return better, worse.messages[-1]


def whole(start: Turns | None, value: object, column: str, tags: Mapping[str, str]) -> Turns:
    """Return the conversation up to and with the answer in `value`: text, a message, or a list of them (trl)."""
    if start is None:
        value = structure(value)
    elif start.answered:
        raise UnusableRow(f"the messages before {column!r} end with an answer already")
    if isinstance(value, list):
        return _from_list(start, value, column, tags)
    if start is None:
        raise UnusableRow(f"column {column!r} is {describe(value)}, and no column holds its prompt")
    if isinstance(value, dict) and (tags or is_message(value)):
        message = read_message(value, 1, tags_of(value, tags), Turns())
        if message.role not in ANSWERS:
            raise UnusableRow(f"column {column!r} is a message from the {message.role}, not an answer")
    else:
        message = Message("assistant", text_of(value, f"column {column!r}"))
    text_of(message.content, f"column {column!r}")
    return Turns([*start.messages, message], start.system)


def _from_list(start: Turns | None, value: list[object], column: str, tags: Mapping[str, str]) -> Turns:
    if not value:
        raise UnusableRow(f"column {column!r} is empty")
    if not isinstance(value[0], dict):
        raise UnusableRow(f"column {column!r} is a list, not text or messages")
    spoken = tags_of(value[0], tags)
    if start is not None and len(value) == 1:
        return whole(start, value[0], column, tags)
    turns = read_turns(value, f"column {column!r}", spoken)
    if not turns.answered:
        raise UnusableRow(f"column {column!r} does not end with an answer")
    if start is None:
        return turns
    said = [message.content for message in turns.messages[:-1]]
    if said[-len(start.messages) :] != [message.content for message in start.messages]:
        raise UnusableRow(f"column {column!r} does not begin with the row's own prompt")
    return Turns(turns.messages, start.system or turns.system)
