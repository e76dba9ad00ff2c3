"""A recipe as its author wrote it: what a form edits and what overrides change."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from copy import copy
from pathlib import Path

from tuitune.errors import RecipeError
from tuitune.recipe.check import checked, examine
from tuitune.recipe.field import FIELDS
from tuitune.recipe.option import Purpose
from tuitune.recipe.problems import Problem, named
from tuitune.recipe.recipe import Recipe
from tuitune.recipe.yamltext import Entry, dump, entries, read_text
from tuitune.recipe.yamltext import load as load_yaml

_END_MARK = re.compile(r"^\.\.\.[ \t]*(#.*)?$", re.MULTILINE)


class Document:
    """A YAML (or JSON) text with its comments and key order.

    Edits change nothing but the value they are about. A document written in braces has no comments in JSON; one in YAML
    loses them at its first edit.
    """

    def __init__(self, text: str, source: Path | None = None) -> None:
        self._source = source
        self._changed: set[str] = set()
        self._read(text)

    @classmethod
    def read(cls, path: str | Path) -> Document:
        """Return the document in a file. Raises RecipeError if it cannot be read or is no flat YAML mapping."""
        return cls(read_text(Path(path)), Path(path).absolute())

    @classmethod
    def parse(cls, text: str, source: Path | None = None) -> Document:
        """Return the document of a text. Raises RecipeError if it is no flat YAML mapping."""
        return cls(text, source)

    @property
    def source(self) -> Path | None:
        """The file that the document came from."""
        return self._source

    def __contains__(self, key: object) -> bool:
        return key in self._entries

    def copy(self) -> Document:
        """Return the same document as if just read: every value in it is the text's own."""
        made = copy(self)
        made._changed = set()
        return made

    def keys(self) -> tuple[str, ...]:
        """Return the keys in the order of the text."""
        return tuple(self._entries)

    def values(self) -> dict[str, object]:
        """Return the raw values; a bare number or date where a text belongs is the text as written."""
        return {key: _meant(entry) for key, entry in self._entries.items()}

    def text(self) -> str:
        """Return the document as YAML (or JSON, if it was that)."""
        return self._text

    def set(self, key: str, value: object) -> None:
        """Give a key a value; a new key goes to the end."""
        self._changed.add(key)
        if self._braces:
            self._rewrite({**self._raw(), key: value})
        elif key in self._entries:
            self._replace(self._entries[key], dump(value))
        else:
            self._append(f"{dump_key(key)}: {dump(value)}")

    def remove(self, key: str) -> None:
        """Take a key out, with the rest of its line; comments on lines of their own stay."""
        if key not in self._entries:
            return
        if self._braces:
            self._rewrite({name: value for name, value in self._raw().items() if name != key})
            return
        spot = self._entries[key].spot
        start = self._line_start(spot.key)
        end = spot.end if self._text[: spot.end].endswith("\n") else self._line_end(spot.end)
        self._read(self._text[:start] + self._text[end:])

    def override(self, setting: str) -> None:
        """Apply `key=value` as given on a command line; the value is YAML. Raises RecipeError without a '='."""
        key, equals, text = setting.partition("=")
        key = key.strip()
        if not equals or not key:
            raise RecipeError([Problem(setting, None, "is not of the form key=value", "for example lora_rank=16")])
        self.set(key, _override_value(key, text.strip()))

    def problems(self, purpose: Purpose = "train") -> list[Problem]:
        """Return everything there is to say, errors and warnings, in the order of the text."""
        return examine(self.values(), self._lines(), self._source, purpose)[1]

    def recipe(self, purpose: Purpose = "train") -> Recipe:
        """Return the recipe. Raises RecipeError with all problems."""
        return checked(self.values(), self._lines(), self._source, purpose)

    def overridden(self, settings: Sequence[str], purpose: Purpose = "train", *, unnamed: str = "the recipe") -> Recipe:
        """Take `key=value` settings in and return the recipe. Raises RecipeError with all problems at once.

        unnamed: what the error calls a recipe that no file holds.
        """
        malformed: list[Problem] = []
        for setting in settings:
            try:
                self.override(setting)
            except RecipeError as error:
                malformed.extend(error.problems)
        try:
            if malformed:
                raise RecipeError([*malformed, *self.problems(purpose)])
            return self.recipe(purpose)
        except RecipeError as error:
            source = unnamed if self.source is None else named(self.source)
            raise RecipeError(error.problems, source) from None

    def line(self, key: str) -> int | None:
        """Return the line on which the file gives `key`; None when it does not, or the value was set since reading."""
        entry = self._entries.get(key)
        return entry.line if entry is not None and key not in self._changed else None

    def _read(self, text: str) -> None:
        found, self._braces = entries(text, self._source)
        self._text = text
        self._entries = {entry.key: entry for entry in found}

    def _raw(self) -> dict[str, object]:
        return {key: entry.value for key, entry in self._entries.items()}

    def _lines(self) -> dict[str, int]:
        # A value set since reading is not the file's, so the file's line would mislead.
        return {key: entry.line for key, entry in self._entries.items() if key not in self._changed}

    def _replace(self, entry: Entry, new: str) -> None:
        text, spot = self._text, entry.spot
        before, old = text[spot.colon + 1 : spot.start], text[spot.start : spot.end]
        if "\n" in before or "#" in before:  # the value stood on lines of its own
            comment = before.strip()
            new = f" {new} {comment}".rstrip()
        else:
            new = (before or " ") + new
        kept = old[len(old.rstrip("\r\n")) :]  # a block text ends with its line
        self._read(text[: spot.colon + 1] + new + kept + text[spot.end :])

    def _append(self, line: str) -> None:
        text = self._text
        mark = _END_MARK.search(text)
        end = mark.start() if mark else len(text)
        first = next(iter(self._entries.values()), None)
        indent = text[self._line_start(first.spot.key) : first.spot.key] if first else ""
        newline = "\r\n" if "\r\n" in text else "\n"
        head = text[:end]
        if head and not head.endswith("\n"):
            head += newline
        self._read(f"{head}{indent if not indent.strip() else ''}{line}{newline}{text[end:]}")

    def _rewrite(self, values: dict[str, object]) -> None:
        try:
            json.loads(self._text)
        except ValueError:
            self._read(dump(values) + "\n")
        else:
            self._read(json.dumps(values, indent=2, ensure_ascii=False, default=str) + "\n")

    def _line_start(self, index: int) -> int:
        return self._text.rfind("\n", 0, index) + 1

    def _line_end(self, index: int) -> int:
        newline = self._text.find("\n", index)
        return len(self._text) if newline < 0 else newline + 1


def dump_key(key: str) -> str:
    """Return a key as YAML writes it."""
    return dump(key)


def _meant(entry: Entry) -> object:
    field = FIELDS.get(entry.key)
    texts = field is not None and field.kind in ("text", "names")
    bare = entry.plain is not None and not isinstance(entry.value, str | bool | None)
    return entry.plain if texts and bare else entry.value


def _override_value(key: str, text: str) -> object:
    try:
        value = load_yaml(text)
    except RecipeError:
        return text
    if isinstance(value, str):
        return value if text[:1] in ("'", '"') else text
    if isinstance(value, dict | list):
        return value if text[:1] in ("{", "[") else text
    field = FIELDS.get(key)
    texts = field is not None and field.kind in ("text", "names")
    return text if texts and not isinstance(value, bool | None) else value


def load(path: str | Path, overrides: Sequence[str] = (), purpose: Purpose = "train") -> Recipe:
    """Return the recipe in a file with `key=value` overrides. Raises RecipeError with all problems at once.

    purpose: the command that reads it; only training needs data.
    """
    return Document.read(path).overridden(overrides, purpose)
