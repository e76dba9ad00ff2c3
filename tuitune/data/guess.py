"""Recognise the format of a data file that is named directly, by the columns of its rows."""

from __future__ import annotations

from collections.abc import Sequence

from tuitune.data.catalog import CATALOG, DEFAULT_TAGS, OPENAI_TAGS, Entry
from tuitune.data.files import RawRow
from tuitune.errors import DataError

# Prompt and answer under the names that people give them, the most telling first.
_PAIRS = (("instruction", "output"), ("prompt", "response"), ("prompt", "completion"), ("question", "answer"))
_OPTIONAL = {"query": "input", "history": "history", "system": "system"}


def guess(rows: Sequence[RawRow], name: str) -> Entry:
    """Return an entry that fits `rows`; raises DataError if their columns belong to no known format."""
    seen: dict[str, None] = {}
    for row in rows:
        if isinstance(row.value, dict):
            seen.update(dict.fromkeys(row.value))
    system = {"system": "system"} if "system" in seen else {}
    for column in ("messages", "conversations"):
        if column in seen:
            columns = {"messages": column} | system
            if _role_key(rows, column) == "from":
                return Entry(name, name, "sharegpt", columns, DEFAULT_TAGS)
            return Entry(name, name, "openai", columns, OPENAI_TAGS)
    for prompt, response in _PAIRS:
        if prompt in seen and response in seen:
            optional = {key: column for key, column in _OPTIONAL.items() if column in seen}
            return Entry(name, name, "alpaca", {"prompt": prompt, "response": response} | optional, {})
    if not seen:
        # Nothing but bad rows: each will say what is wrong with it.
        return Entry(name, name, "alpaca", {"prompt": "instruction", "response": "output"}, {})
    raise DataError(
        f"{name}: the columns {', '.join(list(seen)[:12])} are of no known format",
        f"Use instruction and output, or messages; or say in {CATALOG} which column is which.",
    )


def _role_key(rows: Sequence[RawRow], column: str) -> str:
    """Return the key that the first readable message holds its speaker under."""
    for row in rows:
        messages = row.value.get(column) if isinstance(row.value, dict) else None
        if isinstance(messages, list) and messages and isinstance(messages[0], dict):
            return "from" if "from" in messages[0] else "role"
    return "role"
