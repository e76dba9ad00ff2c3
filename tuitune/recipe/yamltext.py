"""A flat YAML mapping as text: where each key and value stands, and what it means.

Values are edited by replacing exactly their characters, so that comments, order, quotes and spacing of everything else
stay byte for byte. ruamel.yaml reads and writes single values; JSON is YAML too.
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import (
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import SafeRepresenter

from tuitune.recipe.unreadable import failure, said

_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a key, its colon and its value stand in the text, in characters."""

    key: int
    colon: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One key with its value: what it means, its bare text if it has no quotes, the line (from 1) and the spot."""

    key: str
    value: object
    plain: str | None
    line: int
    spot: Spot


def read_text(path: Path) -> str:
    """Return the text of a recipe file. Raises RecipeError if there is none."""
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except IsADirectoryError:
        raise failure("is a folder, not a file", "name the recipe inside it", path) from None
    except FileNotFoundError:
        raise failure("there is no such file", "check the name and the folder you are in", path) from None
    except OSError as error:
        raise failure(f"cannot be read: {error.strerror or error}", "", path) from None
    if len(data) > _LARGEST:
        raise failure("is larger than 1 MiB, so it can hardly be a recipe", "name a YAML or JSON file of keys", path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise failure("is not UTF-8 text", "save it as UTF-8", path, line) from None


def _reader() -> YAML:
    return YAML(typ="safe", pure=True)


def load(text: str, source: Path | None = None) -> object:
    """Return the value of a YAML text. Raises RecipeError in words."""
    try:
        return _guarded(lambda: _reader().load(text))
    except YAMLError as error:
        raise said(error, source) from None


def _guarded(read: Callable[[], object]) -> object:
    try:
        return read()
    except RecursionError:
        raise YAMLError("nested too deeply") from None
    except (
        ValueError,
        TypeError,
        OverflowError,
    ) as error:  # ruamel on dates that do not exist, keys that cannot be one
        raise YAMLError(str(error)) from None


def entries(text: str, source: Path | None = None) -> tuple[list[Entry], bool]:
    """Return the entries of a flat mapping, and whether it is written in braces. Raises RecipeError in words."""
    if (json_entries := _json(text, source)) is not None:
        return json_entries, True
    value = load(text, source)
    if value is None:
        return [], False
    if not isinstance(value, dict):
        kind = "a list" if isinstance(value, list) else "a single value"
        raise failure(f"holds {kind} instead of keys with values", "write one `key: value` per line", source)
    events = list(_reader().parse(text))
    root = next(index for index, event in enumerate(events) if isinstance(event, MappingStartEvent))
    return list(_pairs(text, events[root + 1 :], value, source)), bool(events[root].flow_style)


class _Pairs(list[tuple[str, object]]):
    """The pairs of a JSON object, before repeated keys are lost."""


def _json(text: str, source: Path | None) -> list[Entry] | None:
    """Return the entries of a JSON object; None for anything else. ruamel refuses JSON that is indented with tabs."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        pairs: _Pairs = json.loads(text, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError):
        return None
    twice = next((key for key, count in Counter(key for key, _ in pairs).items() if count > 1), None)
    if twice is not None:
        raise failure(f"'{twice}' is given twice", "keep one of them", source)
    nowhere = Spot(0, 0, 0, 0)
    return [Entry(key, _plain(value), None, _json_line(text, key), nowhere) for key, value in pairs]


def _json_line(text: str, key: str) -> int:
    found = re.search(rf"{re.escape(json.dumps(key, ensure_ascii=False))}\s*:", text)
    return text.count("\n", 0, found.start()) + 1 if found else 1


def _pairs(text: str, events: list[Event], values: dict[object, object], source: Path | None) -> Iterator[Entry]:
    """Yield one entry per pair; both sides come in the order of the text, for keys cannot be given twice."""
    place, meant = 0, iter(values.values())
    while not isinstance(name := events[place], MappingEndEvent):
        line = name.start_mark.line + 1
        if not isinstance(name, ScalarEvent):
            raise failure("a key must be one word", "", source, line)
        if name.value == "<<":
            raise failure("merging with << is not possible in a recipe", "write the keys out", source, line)
        first, place = place + 1, _after(events, place + 1)
        value = events[first]
        last = next(event for event in reversed(events[first:place]) if not _block_end(event))
        plain = value.value if isinstance(value, ScalarEvent) and value.style is None else None
        colon = text.index(":", name.end_mark.index)
        start, end = value.start_mark.index, last.end_mark.index
        if start == end:  # an empty value is marked where the next key begins
            start = end = colon + 1
        spot = Spot(name.start_mark.index, colon, start, end)
        yield Entry(name.value, next(meant), plain, line, spot)


def _after(events: list[Event], place: int) -> int:
    """Return the place after the value that starts at `place`."""
    depth = 0
    while True:
        depth += isinstance(events[place], MappingStartEvent | SequenceStartEvent)
        depth -= isinstance(events[place], MappingEndEvent | SequenceEndEvent)
        place += 1
        if depth == 0:
            return place


def _block_end(event: Event) -> bool:
    """Return whether an event is the end of a block collection, whose mark lies past the comments that follow."""
    return isinstance(event, MappingEndEvent | SequenceEndEvent) and event.start_mark.index == event.end_mark.index


class _Representer(SafeRepresenter):
    """Writes floats so that YAML 1.1 readers, LLaMA-Factory's among them, see numbers too: 1.0e-05, not 1e-05."""

    def represent_float(self, data: float) -> ScalarNode:
        """Return a float with a dot in it."""
        text = repr(data)
        if "e" in text and "." not in text:
            text = text.replace("e", ".0e")
        return self.represent_scalar("tag:yaml.org,2002:float", text)

    def represent_text(self, data: str) -> ScalarNode:
        """Return a text, in double quotes where a character would be taken for a line break or a mark of the file."""
        style = '"' if any(character in "\x85\xa0\u2028\u2029\ufeff" for character in data) else None
        return self.represent_scalar("tag:yaml.org,2002:str", data, style=style)


_Representer.add_representer(float, _Representer.represent_float)
_Representer.add_representer(str, _Representer.represent_text)


def dump(value: object) -> str:
    """Return a value as YAML that fits behind `key: ` on one line."""
    writer = YAML(typ="safe", pure=True)
    writer.Representer = _Representer
    writer.default_flow_style = True
    writer.width = 1 << 20
    writer.allow_unicode = True
    out = io.StringIO()
    writer.dump({"k": _plain(value)}, out)
    # Only what the writer adds goes: a value may itself be a space that Python's strip knows and YAML does not.
    return out.getvalue().strip("\n")[len("{k: ") : -1].strip(" ")


def _plain(value: object) -> object:
    if isinstance(value, _Pairs):
        return {key: _plain(item) for key, item in value}
    if isinstance(value, tuple | list | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value
