"""Careful reading of files that others wrote: regular ones of bounded size only, and no exception for bad content."""

from __future__ import annotations

import json
import stat
from pathlib import Path

Json = dict[str, object] | list[object] | str | int | float | bool | None

# Indexes of the largest sharded models are a few MB; a "config.json" beyond this is not one.
_LARGEST_JSON = 64 << 20


def regular_size(path: Path) -> int | None:
    """Return the size in bytes of a regular file, None for anything else: opening a pipe would wait for ever."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def read_text(path: Path, limit: int = _LARGEST_JSON) -> str | None:
    """Return the text of a regular file of at most `limit` bytes, None when it cannot be had."""
    size = regular_size(path)
    if size is None or size > limit:
        return None
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def read_json(path: Path) -> Json:
    """Return what a JSON file holds, None when it cannot be had."""
    text = read_text(path)
    if text is None:
        return None
    try:
        value: Json = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value


def read_object(path: Path) -> dict[str, object]:
    """Return the object a JSON file holds, an empty one when there is none."""
    value = read_json(path)
    return value if isinstance(value, dict) else {}
