"""Recipe files of the user's: read, told apart from what was read, and replaced so that no crash leaves half a file."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Literal

from tuitune import resources
from tuitune.errors import RecipeError, UsageError
from tuitune.recipe.problems import named
from tuitune.recipe.yamltext import read_text
from tuitune.run.files import sync_dir, write_all

Why = Literal["nameless", "preset", "exists", "changed", "folder", "failed"]
Stamp = tuple[int, int, int]


class SaveRefused(UsageError):
    """A recipe that was not written; `why` tells the app which question to ask."""

    def __init__(self, why: Why, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.why = why


def stamp(path: Path) -> Stamp | None:
    """Return what changes whenever a file is written; None when there is no file."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def current(path: Path) -> str | None:
    """Return the text of a file as it is now; None when it cannot be read."""
    try:
        return read_text(path)
    except RecipeError:
        return None


def typed(path: Path) -> str:
    """Return a path as a user would type it from the current directory."""
    short = named(path)
    return f"./{short}" if short.startswith(("-", "~")) else short


def check_place(path: Path, *, own: Path | None, known: str, force: bool, make_folder: bool) -> Path:
    """Return the file that saving to `path` would replace; raises SaveRefused where the user must be asked first.

    `own` is the file that the recipe came from, and `known` the text that it held then.
    """
    target = Path(os.path.realpath(path.expanduser()))  # a link stays a link: what it points to is replaced
    name = named(target)
    if target.is_relative_to(resources.presets().resolve()):
        raise SaveRefused("preset", f"{target.name} comes with TuiTune and stays as it is", "save under another name")
    if target.is_dir():
        raise SaveRefused("failed", f"{name} is a folder", "name a file in it")
    if not target.parent.is_dir():
        if not make_folder:
            raise SaveRefused(
                "folder", f"there is no folder {named(target.parent)}", "let it be made, or choose another"
            )
        _make(target.parent)
    if target.exists() and not force:
        _keep_others(target, own, known)
    return target


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        words = f"the folder {named(folder)} cannot be made: {error.strerror}"
        raise SaveRefused("failed", words, "choose another folder") from error


def _keep_others(target: Path, own: Path | None, known: str) -> None:
    if own is None or Path(os.path.realpath(own)) != target:
        raise SaveRefused("exists", f"{named(target)} exists already", "replace it, or choose another name")
    if current(target) != known:
        words = f"{named(target)} was changed by something else since it was opened"
        raise SaveRefused("changed", words, "replace it, open it again, or save under another name")


def write(path: Path, text: str) -> None:
    """Replace a file in one step, keeping its mode. Raises SaveRefused in words."""
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        line = text.count("\n", 0, error.start) + 1
        words = f"line {line} holds a character that no file can hold"
        raise SaveRefused("failed", words, "remove it: it shows as a replacement sign") from None
    try:
        _replace(path, data)
    except OSError as error:
        words = f"{named(path)} cannot be written: {error.strerror}"
        raise SaveRefused("failed", words, "save under another name; the draft itself is kept") from error


def _replace(path: Path, data: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    # Made as any new file of the user's would be, so that the umask decides unless there is a mode to keep.
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o666)
    try:
        with os.fdopen(fd, "wb", buffering=0) as stream:
            with contextlib.suppress(FileNotFoundError):
                os.fchmod(stream.fileno(), path.stat().st_mode & 0o7777)
            write_all(stream.fileno(), data)
            os.fsync(stream.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_dir(path.parent)
