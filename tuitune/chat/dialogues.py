"""Conversations as JSON: what `tuitune chat --score` reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from tuitune.chat.base import Role, Turn
from tuitune.errors import DataError

Dialogue = tuple[str | None, list[Turn]]
_ROLES: dict[str, Role] = {"user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant"}
_FORMS = (
    'a conversation is a list of {"role", "content"}, an object with such `messages`, or one with `prompt` and '
    "`response`; several stand in a list, or one a line"
)


def dialogues(text: str) -> list[Dialogue]:
    """Return system message (None where there is none) and turns of each conversation in a text. Raises DataError."""
    try:
        whole = orjson.loads(text)
    except orjson.JSONDecodeError:
        found = [_line(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    else:
        several = isinstance(whole, list) and not any(isinstance(each, dict) and _role(each) for each in whole)
        found = whole if several else [whole]
    if not found:
        raise DataError("there is no conversation on standard input", _FORMS)
    return [_dialogue(number, value) for number, value in enumerate(found, 1)]


def _line(number: int, line: str) -> object:
    try:
        return orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise DataError(f"line {number} is no JSON: {error}", _FORMS) from error


def _dialogue(number: int, value: object) -> Dialogue:
    system: object = None
    if isinstance(value, dict):
        system = value.get("system")
        value = value.get("messages") or value.get("conversations") or _pair(value)
    messages = value if isinstance(value, list) else [None]
    if messages and isinstance(messages[0], dict) and _role(messages[0]) == "system":
        system = _content(messages.pop(0))
    turns = [_turn(number, message) for message in messages]
    return (system if isinstance(system, str) and system else None), turns


def _pair(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    prompt = value.get("prompt")
    asked = prompt if isinstance(prompt, list) else [{"role": "user", "content": prompt}]
    return [*asked, {"role": "assistant", "content": value.get("response")}]


def _role(message: Mapping[str, Any]) -> str:
    role = message.get("role", message.get("from"))
    return role if isinstance(role, str) else ""


def _content(message: Any) -> object:
    return message.get("content", message.get("value"))


def _turn(number: int, message: object) -> Turn:
    if isinstance(message, dict) and _role(message) in _ROLES and isinstance(text := _content(message), str):
        return Turn(_ROLES[_role(message)], text)
    raise DataError(f"conversation {number} has something that is no message of the user or the assistant", _FORMS)
