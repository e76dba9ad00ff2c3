"""What the file dialogs read: folders, presets with their notes, and paths as they are typed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tuitune import resources
from tuitune.tui.areatext import held, written

SUFFIXES = (".yaml", ".yml", ".json")
_MOST = 2_000


@dataclass(frozen=True, slots=True)
class Preset:
    """A recipe to begin from; `note` is its first comment, `own` tells the user's from those that come along."""

    name: str
    path: Path
    note: str
    own: bool


def presets() -> list[Preset]:
    """Return all presets, the user's own first. Reads files: for a thread."""
    own = resources.own_presets()
    return [Preset(name, path, _note(path), path.parent == own) for name, path in resources.all_presets().items()]


def _note(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            first = file.readline(400).strip()
    except OSError:
        return ""
    return first.lstrip("# ") if first.startswith("#") else ""


@dataclass(frozen=True, slots=True)
class Entry:
    """A recipe file or folder; names with line ends are left out, for no line can hold them."""

    path: Path
    folder: bool

    @property
    def name(self) -> str:
        """The name, with a slash behind that of a folder; foreign text."""
        return f"{self.path.name}/" if self.folder else self.path.name


def listing(folder: Path) -> list[Entry]:
    """Return folders and recipe files in a folder, folders first; raises OSError. For a thread."""
    found = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if "\n" in entry.name or "\t" in entry.name:
                continue
            is_folder = _is_folder(entry)
            if is_folder or entry.name.lower().endswith(SUFFIXES):
                found.append(Entry(folder / entry.name, is_folder))
    return sorted(found, key=lambda each: (not each.folder, each.name.lower()))[:_MOST]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def meant(value: str) -> Path:
    """Return the path that an input holds."""
    return Path(os.path.expanduser(written(value.strip(), "\n")) or ".").absolute()


def where(value: str) -> tuple[Path, str]:
    """Return the folder that an input is in, and the beginning of a name in it."""
    head, _, tail = written(value.strip(), "\n").rpartition("/")
    head = "/" if not head and value.strip().startswith("/") else os.path.expanduser(head)
    if tail == "~":
        return Path.home(), ""
    return Path(head or ".").absolute(), tail


def fitting(entries: list[Entry], tail: str) -> list[Entry]:
    """Return the entries that fit what was typed: which begin so, or else hold it; hidden ones on a dot."""
    shown = [each for each in entries if tail.startswith(".") or not each.path.name.startswith(".")]
    low = tail.lower()
    begun = [each for each in shown if each.path.name.lower().startswith(low)]
    return begun or [each for each in shown if low in each.path.name.lower()]


def completed(value: str, entries: list[Entry]) -> str:
    """Return an input completed as far as all fitting entries agree, as a shell does."""
    _, tail = where(value)
    head = value.strip()[: len(value.strip()) - len(held(tail))] if value.strip() != "~" else "~/"
    begun = [each for each in fitting(entries, tail) if each.path.name.lower().startswith(tail.lower())]
    if not begun:
        return value
    common = begun[0].name
    for each in begun[1:]:
        size = sum(1 for _ in _agreeing(common, each.name))
        common = common[:size]
    return head + held(common) if len(common) >= len(tail) else value


def _agreeing(first: str, second: str) -> list[str]:
    agreed = []
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        agreed.append(one)
    return agreed


def as_typed(path: Path) -> str:
    """Return a path as an input holds it: from the current directory or the home where that is shorter."""
    for root, short in ((Path.cwd(), ""), (Path.home(), "~/")):
        if path.is_relative_to(root) and path != root:
            return held(short + str(path.relative_to(root)))
    return held(str(path))
