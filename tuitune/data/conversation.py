"""The one form that every data format becomes before templates and tokens."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant", "function", "observation"]

# Stands between several replies of tools in one observation; of LLaMA-Factory, and right as it is for qwen's form.
BETWEEN_REPLIES = "\n</tool_response>\n<tool_response>\n"
_SURROGATE = re.compile("[\ud800-\udfff]")


class UnusableRow(Exception):
    """A row that cannot be trained on; the text is the reason in words. Never leaves this package."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `system` appears only where a caller talks to a template, never inside a Conversation.

    function: the model calls tools; its content is a JSON object {"name", "arguments"} or a list of such objects, with
    what it says or thinks before the call in front (see `calls_of`). observation: what the tools answered, several
    replies joined by BETWEEN_REPLIES. trained: whether an answer is learnt (a message's own `weight`).
    """

    role: Role
    content: str
    trained: bool = True


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns of user (or observation) and assistant (or function), strictly in turn; `system` None: the template's.

    It ends with an answer, except where only a prompt is needed. rejected: the worse answer to the same prompt; the
    last message is then the better one. desirable: kto's label of the last message. tools: a JSON list of functions,
    "" for none. images, videos, audios: files in the order of their placeholders. columns: for reward functions.
    """

    messages: tuple[Message, ...]
    system: str | None = None
    tools: str = ""
    rejected: Message | None = None
    desirable: bool | None = None
    images: tuple[str, ...] = ()
    videos: tuple[str, ...] = ()
    audios: tuple[str, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)

    @property
    def media(self) -> tuple[str, ...]:
        """The files of every kind."""
        return self.images + self.videos + self.audios


@dataclass(frozen=True, slots=True)
class Document:
    """Plain text to be learnt as it is (stage pt)."""

    text: str


def describe(value: object) -> str:
    """Name the JSON type of `value` as a person would say it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    names: list[tuple[type | tuple[type, ...], str]] = [
        ((int, float), "a number"),
        (str, "text"),
        (list, "a list"),
        (dict, "an object"),
    ]
    return next((name for kind, name in names if isinstance(value, kind)), type(value).__name__)


def text_of(value: object, what: str) -> str:
    """Return `value` if it is usable text, with anything but whitespace in it; `what` names it in the reason."""
    if not isinstance(value, str):
        raise UnusableRow(f"{what} is {describe(value)}, not text")
    if not value.strip():
        raise UnusableRow(f"{what} is empty")
    return sound(value, what)


def sound(text: str, what: str) -> str:
    """Return `text` if a tokenizer can read it; `what` names it in the reason."""
    if "\0" in text:
        raise UnusableRow(f"{what} holds a NUL character")
    if not text.isascii() and _SURROGATE.search(text):
        raise UnusableRow(f"{what} holds half of a surrogate pair, which is no character")
    return text


def calls_of(content: str) -> tuple[str, list[dict[str, Any]]]:
    """Take a function message apart: the text before the calls, and the calls with `name` and `arguments`.

    Raises ValueError, with the reason in words, where there are none.
    """
    reason = "it holds no JSON"
    for match in re.finditer(r"[\[{]", content):
        try:
            value = json.loads(content[match.start() :])
        except (ValueError, RecursionError):
            continue
        calls = value if isinstance(value, list) else [value]
        reason = next(filter(None, map(_call_fault, calls)), "" if calls else "the list of calls is empty")
        if not reason:
            return content[: match.start()], calls
    raise ValueError(reason)


def _call_fault(call: object) -> str:
    if not isinstance(call, dict):
        return f"a call is {describe(call)}, not an object"
    if not isinstance(call.get("name"), str) or not call["name"]:
        return "a call has no name"
    if not isinstance(call.get("arguments"), dict):
        return f"the arguments of {call['name']!r} are {describe(call.get('arguments'))}, not an object"
    return ""
