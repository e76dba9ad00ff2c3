"""What a comparison on disk holds: the folder of a kept one, or the file that one was saved as."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from tuitune.chat.base import Options
from tuitune.chat.conversation import Conversation, drawn_so
from tuitune.chat.saved import Saved, kept, read
from tuitune.errors import DataError, UsageError
from tuitune.run import places

NAMES = ("left", "right")
Told = tuple[list[tuple[str, Saved]], Options | None]
"""Who was asked and what was said on each side, and how answers were drawn, None where it was never said."""


def files_in(folder: Path) -> list[Path]:
    """Return the files of both sides, of which one may be missing. Raises UsageError where both are."""
    files = [folder / f"{name}.jsonl" for name in NAMES]
    if not any(file.is_file() for file in files):
        raise UsageError(
            f"there is no comparison in {folder}",
            f"name a folder of {places.home() / 'comparisons'}, or what was saved",
        )
    return files


def told_in_folder(folder: Path) -> Told:
    """Return who was asked on each side, and what was said there. Raises DataError or UsageError."""
    try:
        talks = {file: Conversation.load(file) for file in files_in(folder) if file.is_file()}
        told = [(talks[file].whom, kept(file)) if file in talks else ("", Saved(())) for file in files_in(folder)]
        return told, next((talk.sampling for talk in talks.values() if talk.sampling is not None), None)
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror or error}") from error


def told_in_file(path: Path) -> Told:
    """Return the same of a file that `Comparison.save` wrote. Raises DataError."""
    try:
        found = json.loads(path.read_text("utf-8"))
        sides = [found[name] for name in NAMES]
        words = [str(side.get("name") or "") for side in sides]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}", "check the path") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is no comparison",
            f'it holds "left" and "right", as saved here; or name a folder of {places.home() / "comparisons"}',
        ) from error
    told = [read(json.dumps(value), str(path)) if value.get("messages") else Saved(()) for value in sides]
    sampling = found.get("sampling")
    return list(zip(words, told, strict=True)), drawn_so(sampling) if isinstance(sampling, dict) else None


def whose(path: Path) -> list[str] | None:
    """Return the words that name who was asked in a folder or a file, None where it holds no comparison.

    Raises DataError or UsageError, also where it does not tell.
    """
    if not path.is_dir() and not _has_sides(path):
        return None
    told, _ = told_in_folder(path) if path.is_dir() else told_in_file(path)
    words = [word for word, _ in told]
    if not all(words):
        raise UsageError(
            f"{path} does not tell who was asked", f"name both: tuitune chat WHO --compare OTHER --load {path}"
        )
    return words


def _has_sides(path: Path) -> bool:
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_text("utf-8"))
        return isinstance(found, dict) and set(NAMES) <= set(found)
    return False  # what is wrong with it is said by whoever reads it
