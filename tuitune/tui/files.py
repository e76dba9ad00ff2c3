"""Questions about files: which recipe to open, and where to save one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from tuitune.tui.filedialog import Entries, FileDialog, Said
from tuitune.tui.folders import Preset, as_typed, fitting, meant, presets, where
from tuitune.tui.found import PickItem
from tuitune.tui.kit.rows import R, Row

__all__ = ["OpenFile", "Preset", "SaveFile", "presets"]


class OpenFile(FileDialog):
    """Which recipe to open."""

    QUESTION = "Open a recipe"
    KEYS: ClassVar[Row] = R(
        "accent", "↑↓", "quiet", " move   ", "accent", "tab", "quiet", " complete   ",
        "accent", "enter", "quiet", " open   ", "accent", "esc", "quiet", " leave",
    )  # fmt: skip

    def __init__(self, recent: Sequence[Path] = ()) -> None:
        super().__init__(recent=recent)

    def action_take(self) -> None:
        """Open the file under the cursor, or go into the folder."""
        path = self.chosen()
        if path is None:
            return
        if self._is_folder(path):
            self.enter(path)
        else:
            self.dismiss(path)

    def action_accept(self) -> None:
        """Open the file that is typed, else the one under the cursor."""
        path = meant(self.value)
        if self.value.strip() and path.is_file():
            self.dismiss(path)
        elif self.chosen() is not None:
            self.action_take()
        else:
            self.query_one(Said).say("there is no such file")


class SaveFile(FileDialog):
    """Where to save the recipe. An existing file is replaced only when it was said and confirmed."""

    QUESTION = "Save the recipe as"
    KEYS: ClassVar[Row] = R(
        "accent", "enter", "quiet", " save   ", "accent", "tab", "quiet", " complete   ",
        "accent", "↑↓", "quiet", " move   ", "accent", "esc", "quiet", " leave",
    )  # fmt: skip

    def __init__(self, suggested: Path) -> None:
        super().__init__(as_typed(suggested.absolute()))
        self._warned: Path | None = None

    def _fill(self) -> None:
        # What is there is shown whole: the name is new, so it need not fit any.
        folder, _ = where(self.value)
        items = [PickItem(str(each.path), each.name, "", f"In {folder}") for each in fitting(self._entries, "")]
        found = self.query_one(Entries)
        if [item.key for item in found.items] != [item.key for item in items]:
            found.fill(items)

    def action_take(self) -> None:
        """Take the name under the cursor, or go into the folder."""
        path = self.chosen()
        if path is not None:
            self.enter(path) if self._is_folder(path) else self._put(path)

    def action_accept(self) -> None:
        """Answer with the path; one that exists must be accepted twice."""
        path = meant(self.value)
        if not self.value.strip() or self.value.strip().endswith("/") or path.is_dir():
            self.query_one(Said).say("name a file in this folder")
            return
        path = path if path.suffix else path.with_suffix(".yaml")
        if path.exists() and self._warned != path:
            self._warned = path
            self.query_one(Said).say(f"{path.name} exists: enter again replaces it", "warn")
            return
        self.dismiss(path)
