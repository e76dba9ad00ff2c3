"""The data sets that come with TuiTune: who the assistant is, with places for its name and its author."""

from __future__ import annotations

import re
from dataclasses import replace
from importlib import resources

from tuitune.data.catalog import Entry
from tuitune.data.conversation import Conversation
from tuitune.data.files import RawRow, decoded, parse_array
from tuitune.data.guess import guess
from tuitune.errors import DataError

FILES = {
    "identity": "identity_en.json",
    "identity_en": "identity_en.json",
    "identity_zh": "identity_zh.json",
    "identity_pairs": "identity_pairs.json",
    "identity_votes": "identity_votes.json",
    "sums": "sums.json",
    "glossary": "glossary.json",
}
_PLACE = re.compile(r"\{\{(name|author)\}\}")


def read_builtin(name: str) -> tuple[Entry, str, list[RawRow]]:
    """Return the entry, the file's name for people, and the rows of a packaged data set."""
    file = FILES[name]
    try:
        content = resources.files(__package__).joinpath("builtin", file).read_bytes()
    except OSError:
        raise DataError(f"the packaged data set {file} is missing", "Install TuiTune again.") from None
    rows = parse_array(decoded(content, file), file)
    return replace(guess(rows, file), name=name), f"{file} (built in)", rows


def fill(talk: Conversation, name: str | None, author: str | None) -> Conversation:
    """Put the recipe's `name` and `author` in their places; raises DataError when a place has nothing to be put in."""
    values = {"name": name, "author": author}

    def value_of(place: re.Match[str]) -> str:
        value = values[place[1]]
        if not value or not value.strip():
            raise DataError(
                f"the identity data speak of {place[0]}, and the recipe does not say what that is",
                "Set `name` (what the assistant is called) and `author` (who made it) in the recipe.",
            )
        return value

    def filled(text: str) -> str:
        return _PLACE.sub(value_of, text)

    messages = tuple(replace(message, content=filled(message.content)) for message in talk.messages)
    rejected = None if talk.rejected is None else replace(talk.rejected, content=filled(talk.rejected.content))
    return replace(
        talk, messages=messages, system=None if talk.system is None else filled(talk.system), rejected=rejected
    )
