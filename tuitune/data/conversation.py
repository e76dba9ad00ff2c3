"""The one form that every data format becomes before templates and tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["system", "user", "assistant"]


class UnusableRow(Exception):
    """A row that cannot be trained on; the text is the reason in words. Never leaves this package."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message; `system` appears only where a caller talks to a template, never inside a Conversation."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns of user and assistant, strictly in turn, ending with the assistant; `system` None means the template's."""

    messages: tuple[Message, ...]
    system: str | None = None


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
    if "\0" in value:
        raise UnusableRow(f"{what} holds a NUL character")
    return value
