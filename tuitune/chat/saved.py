"""A whole conversation as one JSON file in the form of OpenAI's messages, and such files of others."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from tuitune.chat.base import Turn
from tuitune.chat.conversation import Conversation
from tuitune.chat.partial import Partial
from tuitune.chat.tools import BETWEEN_REPLIES, Call, checked, parts
from tuitune.errors import DataError, UsageError
from tuitune.run.files import write_atomic
from tuitune.text import clean

_MOST = 64 << 20  # bytes
_FORM = (
    'it shall be an object with `messages` ({"role", "content"}, also `tool_calls` and role tool), with or without '
    "`system` and `tools`, a list of such messages, or a .jsonl of TuiTune's chats"
)


@dataclass(frozen=True, slots=True)
class Saved:
    """What a file holds: turns, a system message, and tools as JSON."""

    turns: tuple[Turn, ...]
    system: str | None = None
    tools: str = ""


def read_file(path: Path) -> Saved:
    """Return the conversation in a file. Raises DataError."""
    if path.is_dir():
        raise _of_two(str(path))
    try:
        if path.stat().st_size > _MOST:
            raise DataError(f"{path} is too large for a conversation", _FORM)
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}", _FORM) from error
    if path.suffix == ".jsonl" and '"kind"' in text:
        found = kept(path)
        if found.turns:
            return found
    return read(text, str(path))


def kept(path: Path) -> Saved:
    """Return a conversation as TuiTune keeps it, with what came of an answer that a crash cut off. Raises OSError."""
    talk = Conversation.load(path)
    by, text = Partial.left(path)
    cut = [Turn("assistant", text, by, "lost")] if text and talk.turns and not talk.turns[-1].is_answer else []
    return Saved((*talk.turns, *cut), talk.system, talk.tools)


def read(text: str, what: str = "this") -> Saved:
    """Return the conversation in a JSON text. Raises DataError."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise DataError(f"{what} is no JSON: {error}", _FORM) from error
    if isinstance(value, list) and value and not _is_message(value[0]):
        if len(value) > 1:
            raise DataError(f"{what} holds {len(value)} conversations", "keep the one that you want in a file")
        value = value[0]
    given: Mapping[str, Any] = value if isinstance(value, dict) else {"messages": value}
    return _saved(given, what)


def _is_message(value: object) -> bool:
    return isinstance(value, dict) and ("role" in value or "from" in value)


def _saved(given: Mapping[str, Any], what: str) -> Saved:
    from tuitune.data.conversation import UnusableRow
    from tuitune.data.convert.turns import read_turns, tags_of

    messages = given.get("messages") or given.get("conversations")
    if not messages and {"left", "right"} <= set(given):
        raise _of_two(what)
    if not isinstance(messages, list) or not messages:
        raise DataError(f"{what} has no messages", _FORM)
    try:
        found = read_turns(messages, "the conversation", tags_of(messages[0], {}))
    except UnusableRow as reason:
        raise DataError(f"{what} is no conversation: {reason}", _FORM) from reason
    own = given.get("system")
    system = found.system or (own if isinstance(own, str) and own else None)
    tools = given.get("tools") or ""
    text = checked(tools if isinstance(tools, str) else orjson.dumps(tools).decode(), f"`tools` of {what}")
    return Saved(tuple(Turn(m.role, m.content) for m in found.messages if m.role != "system"), system, text)


def _of_two(what: str) -> DataError:
    return DataError(
        f"{what} holds a comparison, or nothing of a conversation",
        "go on with both: `tuitune chat --load` with it and nobody named, or the app's Compare screen",
    )


def written(talk: Saved) -> str:
    """Return the conversation as JSON, which `read` and others take."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": talk.system}] if talk.system else []
    called: list[str] = []
    for place, turn in enumerate(talk.turns):
        messages += _messages(turn, place, called)
    tools = {"tools": orjson.loads(talk.tools)} if talk.tools else {}
    return json.dumps({"messages": messages, **tools}, ensure_ascii=False, indent=2) + "\n"


def _messages(turn: Turn, place: int, called: list[str]) -> list[dict[str, Any]]:
    """Return a turn as messages; `called` holds the ids of the calls that wait for what tools answer."""
    if turn.role == "observation":
        replies = turn.content.split(BETWEEN_REPLIES)
        names = [*called, *(f"call_{place}_{n}" for n in range(len(called), len(replies)))]
        pairs = zip(names, replies, strict=False)
        return [{"role": "tool", "tool_call_id": name, "content": text} for name, text in pairs]
    if turn.role != "function":
        return [{"role": turn.role, "content": turn.content}]
    said, calls = parts(turn.content)
    called[:] = [f"call_{place}_{n}" for n in range(len(calls))]
    told = [_call(name, call) for name, call in zip(called, calls, strict=True)]
    return [{"role": "assistant", "content": said, "tool_calls": told}]


def _call(name: str, call: Call) -> dict[str, Any]:
    arguments = json.dumps(call.arguments, ensure_ascii=False)
    return {"id": name, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def as_text(turns: Sequence[Turn], system: str | None) -> str:
    """Return the conversation as cleaned text to be read."""
    head = [f"system: {clean(system)}"] if system else []
    return "".join(f"{each}\n\n" for each in [*head, *(f"{turn.role}: {clean(turn.content)}" for turn in turns)])


def save(path: Path, talk: Saved, *, replacing: bool = False) -> None:
    """Write a conversation, as JSON where the name ends in .json, else as text.

    Raises UsageError where a file is, unless it is to be replaced.
    """
    text = written(talk) if path.suffix.lower() == ".json" else as_text(talk.turns, talk.system)
    try:
        if not replacing and path.exists():
            raise UsageError(f"{path} exists already", "choose another name")
        write_atomic(path, text.encode("utf-8", "replace"))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}", "choose another place") from error
