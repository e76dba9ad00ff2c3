"""Tools in a conversation: the functions that a model may call, its calls read back, and what people see of both."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.data.conversation import BETWEEN_REPLIES
from tuitune.data.templates.tools.calls import Call, Unreadable, bare, dumps, read_calls, read_tools
from tuitune.errors import DataError
from tuitune.text import clean_line

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tuitune.data.templates import Template

__all__ = [
    "BETWEEN_REPLIES",
    "Call",
    "calls",
    "checked",
    "content",
    "names",
    "parts",
    "read_file",
    "result_texts",
    "results",
    "shown",
]

_FORM = 'a JSON list of functions: {"name", "description", "parameters"}, bare or in OpenAI\'s wrapping'
_MOST = 1 << 20  # bytes of a file with tools
_APART = re.compile(r"^---[ \t]*$", re.MULTILINE)
_LONGEST = 60  # characters of an argument that people see


def read_file(path: Path) -> str:
    """Return the tools in a file as JSON text. Raises DataError."""
    try:
        if path.stat().st_size > _MOST:
            raise DataError(f"{path} is too large for a list of tools", f"it shall be {_FORM}")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read: {error}", f"it shall be {_FORM}") from error
    return checked(text, str(path))


def checked(text: str, what: str = "this") -> str:
    """Return a list of tools as JSON text, "" where there is none in it. Raises DataError."""
    if not text.strip():
        return ""
    try:
        found = read_tools(text)
    except Unreadable as reason:
        raise DataError(f"{what} is no list of tools: {reason}", f"it shall be {_FORM}") from reason
    return dumps(found) if found else ""


def names(tools: str) -> list[str]:
    """Return the names of the functions in a list that was checked."""
    return [str(bare(tool)["name"]) for tool in read_tools(tools)] if tools.strip() else []


def calls(template: Template, tokenizer: PreTrainedTokenizerBase, text: str) -> tuple[str, list[Call]]:
    """Return what an answer says and the tools that it calls; what cannot be read as calls stays in what it says.

    text: the answer without its thoughts.
    """
    from tuitune.data.templates.reading import form_of, read

    return read(form_of(template, tokenizer), text)


def content(said: str, found: Sequence[Call]) -> str:
    """Return the content of a turn that calls tools: what it says, then the calls as JSON."""
    told = dumps([{"name": call.name, "arguments": call.arguments} for call in found])
    return f"{said}\n{told}" if said else told


def parts(text: str) -> tuple[str, list[Call]]:
    """Take the content of a turn that calls tools apart; one that was edited beyond reading calls nothing."""
    try:
        said, found = read_calls(text)
    except Unreadable:
        return text, []
    return said.rstrip("\n"), found


def results(text: str) -> str:
    """Return what tools answered, as typed, as the content of a turn: several stand apart by a line of ---."""
    return BETWEEN_REPLIES.join(part.strip("\n") for part in _APART.split(text.strip("\n")))


def result_texts(text: str) -> list[str]:
    """Return the results in the content of a turn, one by one."""
    return text.split(BETWEEN_REPLIES)


def shown(call: Call) -> str:
    """Return a call as people write one, cleaned: name(key=value, ...)."""
    arguments = call.arguments if isinstance(call.arguments, dict) else {"": call.arguments}
    told = (f"{key}={_short(dumps(value))}" for key, value in arguments.items())
    return clean_line(f"{call.name}({', '.join(told)})")


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
