"""The data sets that come with TuiTune: who the assistant is, with places for its name and its author."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import resources

import orjson

from tuitune.data.conversation import Conversation
from tuitune.data.files import RawRow
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


@dataclass(frozen=True)
class PackagedRows:
    """The rows of a packaged data set; see `tuitune.data.files.Rows`."""

    name: str

    @cached_property
    def _rows(self) -> list[RawRow]:
        file = FILES[self.name]
        try:
            content = resources.files(__package__).joinpath("builtin", file).read_bytes()
        except OSError:
            raise DataError(f"the packaged data set {file} is missing", "Install TuiTune again.") from None
        return [RawRow(number, row, f"{file} (built in)") for number, row in enumerate(orjson.loads(content), 1)]

    def __iter__(self) -> Iterator[RawRow]:
        return iter(self._rows)

    @property
    def expected(self) -> int | None:
        """How many there are."""
        return len(self._rows)


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
