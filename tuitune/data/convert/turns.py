"""A list of messages, in sharegpt's or OpenAI's form, as turns of user and assistant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tuitune.data.conversation import BETWEEN_REPLIES, Message, Role, UnusableRow, describe, sound, text_of
from tuitune.data.convert.row import Raw, listed, structure
from tuitune.data.convert.tools import made_calls, written_call
from tuitune.data.entry import DEFAULT_TAGS, OPENAI_TAGS
from tuitune.text import clean_line

ANSWERS = ("assistant", "function")
_MEDIA_PARTS = {"image": "image", "image_url": "image", "video": "video", "audio": "audio"}
_TAG_ROLES: dict[str, Role] = {
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "observation",
    "function_tag": "function",
    "system_tag": "system",
}


@dataclass
class Turns:
    """Messages strictly in turn, beginning with the user; `files` are media that messages name themselves."""

    messages: list[Message] = field(default_factory=list)
    system: str | None = None
    files: dict[str, list[object]] = field(default_factory=dict)

    @property
    def answered(self) -> bool:
        """Whether the last message is an answer."""
        return bool(self.messages) and self.messages[-1].role in ANSWERS


def read_turns(value: object, what: str, tags: Mapping[str, str]) -> Turns:
    """Return the turns of a list of messages; raises UnusableRow."""
    value = structure(value)
    if not isinstance(value, list):
        raise UnusableRow(f"{what} is {describe(value)}, not a list of messages")
    if not value:
        raise UnusableRow(f"{what} is empty")
    turns = Turns()
    for number, raw in enumerate(value, 1):
        _append(turns, raw, number, tags)
    if not turns.messages:
        raise UnusableRow("there is a system message and nothing else")
    return turns


def read_message(raw: object, number: int, tags: Mapping[str, str], turns: Turns) -> Message:
    """Return one message; its content may still be empty. Media that it names are added to `turns`."""
    if not isinstance(raw, dict):
        raise UnusableRow(f"message {number} is {describe(raw)}, not an object")
    role = _role(raw, number, tags)
    if role == "function" and tags is OPENAI_TAGS and turns.answered and turns.messages[-1].role == "function":
        role = "observation"  # OpenAI's former name for what a tool answers
    what = f"message {number}"
    content = _content(raw, number, tags, turns)
    calls = raw.get("tool_calls") or ([raw["function_call"]] if raw.get("function_call") else None)
    if role in ANSWERS and calls:
        return Message("function", made_calls(calls, content, what), _trained(raw, number))
    if role == "function":
        return Message(role, written_call(content, what), _trained(raw, number))
    return Message(role, content, _trained(raw, number) if role in ANSWERS else True)


def is_message(value: object) -> bool:
    """Return whether `value` looks like a message of any form."""
    return isinstance(value, dict) and ("role" in value or "from" in value)


def tags_of(raw: object, tags: Mapping[str, str]) -> Mapping[str, str]:
    """Return the tags that fit a message of a form without tags of its own (alpaca)."""
    if tags:
        return tags
    return DEFAULT_TAGS if isinstance(raw, dict) and "from" in raw and "role" not in raw else OPENAI_TAGS


def _append(turns: Turns, raw: object, number: int, tags: Mapping[str, str]) -> None:
    message = read_message(raw, number, tags, turns)
    if message.role == "system":
        if number > 1:
            raise UnusableRow(f"message {number} is a system message; only the first may be one")
        turns.system = sound(message.content, f"the content of message {number}") or None
        return
    last = turns.messages[-1] if turns.messages else None
    if message.role == "observation" and last is not None and last.role == "observation":
        turns.messages[-1] = replace(last, content=last.content + BETWEEN_REPLIES + message.content)
        return
    if (message.role in ANSWERS) != bool(len(turns.messages) % 2):
        expected = "assistant" if len(turns.messages) % 2 else "user"
        named = {"function": "assistant's call of a tool", "observation": "tool"}.get(message.role, message.role)
        raise UnusableRow(f"message {number} is from the {named}, where the {expected} should speak")
    if message.role == "observation":  # a tool may have nothing to say
        sound(message.content, f"the content of message {number}")
    else:
        text_of(message.content, f"the content of message {number}")
    turns.messages.append(message)


def _role(raw: Raw, number: int, tags: Mapping[str, str]) -> Role:
    role_key = tags["role_tag"]
    if role_key not in raw:
        raise UnusableRow(f"message {number} has no {role_key!r}; it has {listed(raw)}")
    tag = raw[role_key]
    roles: dict[str, Role] = {tags[key]: role for key, role in _TAG_ROLES.items() if key in tags}
    if tags is OPENAI_TAGS:
        roles["developer"] = "system"
    role = roles.get(tag) if isinstance(tag, str) else None
    if role is None:
        said = f"{clean_line(tag)[:40]!r}" if isinstance(tag, str) else describe(tag)
        raise UnusableRow(f"message {number} has the unknown role {said}; known are {', '.join(roles)}")
    return role


def _content(raw: Raw, number: int, tags: Mapping[str, str], turns: Turns) -> str:
    key = tags["content_tag"]
    called = bool(raw.get("tool_calls") or raw.get("function_call"))
    if key not in raw and not called:
        raise UnusableRow(f"message {number} has no {key!r}; it has {listed(raw)}")
    content = raw.get(key)
    if isinstance(content, list):
        content = _parts(content, number, turns)
    if content is None and called:
        content = ""
    if not isinstance(content, str):
        raise UnusableRow(f"the content of message {number} is {describe(content)}, not text")
    thoughts = raw.get("reasoning_content") or raw.get("thinking")
    if isinstance(thoughts, str) and thoughts.strip():
        return f"<think>\n{thoughts.strip()}\n</think>\n\n{content}"
    return content


def _parts(parts: list[object], number: int, turns: Turns) -> str:
    """Join the parts of a message in OpenAI's list form; media become their placeholders."""
    texts = []
    for part in parts:
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(part, dict) and kind == "text" and isinstance(part.get("text"), str):
            texts.append(part["text"])
        elif isinstance(part, dict) and isinstance(kind, str) and kind in _MEDIA_PARTS:
            texts.append(f"<{_MEDIA_PARTS[kind]}>")
            files, named = turns.files.setdefault(_MEDIA_PARTS[kind], []), _named(part, kind)
            files += [] if named is None else [named]
        else:
            said = clean_line(kind)[:40] if isinstance(kind, str) else describe(part)
            raise UnusableRow(f"message {number} has a content part ({said}) that is not text, image, video or audio")
    return "".join(texts)


def _named(part: Mapping[Any, object], kind: str) -> object:
    """Return the file that a part names itself; None where the row's columns do."""
    value = part.get(kind)
    if isinstance(value, Mapping) and kind == "image_url":
        value = value.get("url")
    return value if value is not None else part.get("path") or part.get("url")


def _trained(raw: Raw, number: int) -> bool:
    """Return whether an answer is learnt: `weight` 0 or 1 (OpenAI), or `train` true or false."""
    for key in ("weight", "train"):
        value = raw.get(key)
        if value is None:
            continue
        if value not in (0, 1) or isinstance(value, str):
            raise UnusableRow(f"the {key} of message {number} is {describe(value)}; it may be 0 or 1")
        return bool(value)
    return True
