"""What all forms of rows share: columns, the system text, and the reasons for what is wrong with them."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from tuitune.data.conversation import UnusableRow, describe, sound
from tuitune.text import clean_line

Raw = Mapping[str, object]
_LISTED = 8


def column(row: Raw, name: str) -> object:
    """Return the value of a column that must be there."""
    if name not in row:
        raise UnusableRow(f"there is no column {name!r}; the row has {listed(row)}")
    return row[name]


def listed(row: Raw) -> str:
    """Name the first keys of `row`."""
    names = [clean_line(str(name))[:40] for name in row]
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return (", ".join(map(repr, names[:_LISTED])) or "none") + more


def structure(value: object) -> object:
    """Return lists and objects that a csv cell or a text column holds as JSON, anything else as it is."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            return value
    return value


def optional_text(row: Raw, name: str | None) -> str:
    """Return the text of a column that may be absent, null or empty: then ""."""
    value = None if name is None else row.get(name)
    if value is None or value == "":
        return ""
    if not isinstance(value, str):
        raise UnusableRow(f"column {name!r} is {describe(value)}, not text")
    return sound(value, f"column {name!r}")


def label(value: object, name: str) -> bool:
    """Return kto's label; csv has no true and false, so their names and 1 and 0 count there."""
    if isinstance(value, bool):
        return value
    known = {"true": True, "1": True, "false": False, "0": False}
    if isinstance(value, str) and value.strip().lower() in known:
        return known[value.strip().lower()]
    if isinstance(value, (int, float)) and value in (0, 1):
        return bool(value)
    raise UnusableRow(f"column {name!r} is {describe(value)}, not true or false")
