"""Turn one row of any supported format into a Conversation, or say why it cannot be one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from tuitune.data.catalog import Entry
from tuitune.data.conversation import Conversation, Message, UnusableRow, describe, text_of
from tuitune.data.files import BrokenLine
from tuitune.text import clean_line

_LISTED = 8


def convert(value: object, entry: Entry) -> Conversation:
    """Return the conversation of one parsed row; raises UnusableRow with the reason."""
    if isinstance(value, BrokenLine):
        raise UnusableRow(value.reason)
    if not isinstance(value, dict):
        raise UnusableRow(f"the row is {describe(value)}, not an object")
    if entry.formatting == "alpaca":
        return _alpaca(value, entry)
    return _messages(value, entry)


def _alpaca(row: Mapping[str, object], entry: Entry) -> Conversation:
    columns = entry.columns
    messages = _history(row, columns.get("history"))
    parts = [_column(row, columns["prompt"])]
    if "query" in columns:
        parts.append(row.get(columns["query"]))
    texts = []
    for name, part in zip((columns["prompt"], columns.get("query")), parts, strict=False):
        if part is not None and not isinstance(part, str):
            raise UnusableRow(f"column {name!r} is {describe(part)}, not text")
        if part:
            texts.append(part)
    prompt = text_of("\n".join(texts), "the prompt")
    answer = text_of(_column(row, columns["response"]), f"column {columns['response']!r}")
    messages += [Message("user", prompt), Message("assistant", answer)]
    return Conversation(tuple(messages), _system_column(row, columns))


def _history(row: Mapping[str, object], column: str | None) -> list[Message]:
    value = None if column is None else row.get(column)
    if value is None:
        return []
    if not isinstance(value, list):
        raise UnusableRow(f"column {column!r} is {describe(value)}, not a list of [question, answer] pairs")
    messages: list[Message] = []
    for number, pair in enumerate(value, 1):
        if not isinstance(pair, list) or len(pair) != 2:
            raise UnusableRow(f"pair {number} of {column!r} is not [question, answer]")
        messages.append(Message("user", text_of(pair[0], f"the question of pair {number} of {column!r}")))
        messages.append(Message("assistant", text_of(pair[1], f"the answer of pair {number} of {column!r}")))
    return messages


def _messages(row: Mapping[str, object], entry: Entry) -> Conversation:
    column = entry.columns["messages"]
    value = _column(row, column)
    if not isinstance(value, list):
        raise UnusableRow(f"column {column!r} is {describe(value)}, not a list of messages")
    if not value:
        raise UnusableRow(f"column {column!r} is empty")
    system = _system_column(row, entry.columns)
    messages: list[Message] = []
    for number, raw in enumerate(value, 1):
        role, content = _message(raw, number, entry)
        if role == "system":
            if number > 1:
                raise UnusableRow(f"message {number} is a system message; only the first may be one")
            system = content or None
            continue
        expected = "assistant" if len(messages) % 2 else "user"
        if role != expected:
            raise UnusableRow(f"message {number} is from the {role}, where the {expected} should speak")
        text = text_of(content, f"the content of message {number}")
        messages.append(Message(role, text))
    if len(messages) % 2:
        raise UnusableRow(f"the last message, {len(value)}, is from the user: there is no answer to train on")
    if not messages:
        raise UnusableRow("there is a system message and nothing else")
    return Conversation(tuple(messages), system)


def _message(raw: object, number: int, entry: Entry) -> tuple[Literal["system", "user", "assistant"], str]:
    """Return role and content of one message; whether the content may be empty is the caller's question."""
    if not isinstance(raw, dict):
        raise UnusableRow(f"message {number} is {describe(raw)}, not an object")
    tags = entry.tags
    role_key, content_key = tags["role_tag"], tags["content_tag"]
    if role_key not in raw:
        raise UnusableRow(f"message {number} has no {role_key!r}; it has {_listed(raw)}")
    tag = raw[role_key]
    tools = [tags[key] for key in ("function_tag", "observation_tag") if key in tags]
    if tag in tools or raw.get("tool_calls"):
        raise UnusableRow(f"message {number} is a tool call or a tool's reply, which are not supported yet")
    roles: dict[object, Literal["system", "user", "assistant"]] = {
        tags["user_tag"]: "user",
        tags["assistant_tag"]: "assistant",
    }
    if "system_tag" in tags:
        roles[tags["system_tag"]] = "system"
    role = roles.get(tag) if isinstance(tag, str) else None
    if role is None:
        said = f"{clean_line(tag)[:40]!r}" if isinstance(tag, str) else describe(tag)
        raise UnusableRow(f"message {number} has the unknown role {said}; known are {', '.join(map(str, roles))}")
    if content_key not in raw:
        raise UnusableRow(f"message {number} has no {content_key!r}; it has {_listed(raw)}")
    content = raw[content_key]
    if entry.formatting == "openai" and isinstance(content, list):
        content = _text_parts(content, number)
    if not isinstance(content, str):
        raise UnusableRow(f"the content of message {number} is {describe(content)}, not text")
    return role, content


def _text_parts(parts: list[object], number: int) -> str:
    """Join the text parts of a message in OpenAI's list form."""
    texts = []
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        text = part.get("text") if isinstance(part, dict) else None
        if kind != "text" or not isinstance(text, str):
            said = clean_line(kind)[:40] if isinstance(kind, str) else describe(part)
            raise UnusableRow(f"message {number} has a content part ({said}) that is not text, not supported yet")
        texts.append(text)
    return "".join(texts)


def _system_column(row: Mapping[str, object], columns: Mapping[str, str]) -> str | None:
    value = row.get(columns["system"]) if "system" in columns else None
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise UnusableRow(f"column {columns['system']!r} is {describe(value)}, not text")
    return value


def _column(row: Mapping[str, object], name: str) -> object:
    if name not in row:
        raise UnusableRow(f"there is no column {name!r}; the row has {_listed(row)}")
    return row[name]


def _listed(row: Mapping[str, object]) -> str:
    names = [clean_line(str(name))[:40] for name in row]
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return (", ".join(map(repr, names[:_LISTED])) or "none") + more
