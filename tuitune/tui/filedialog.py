"""A path that is typed, over what there is in its folder. Folders are read by a thread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.widget import Widget
from textual.widgets import Input

from tuitune.text import clean_line
from tuitune.tui.areatext import held
from tuitune.tui.box import Boxed, Lines, Says, room
from tuitune.tui.folders import Entry, as_typed, completed, fitting, listing, where
from tuitune.tui.found import Found, PickItem
from tuitune.tui.kit.rows import R, Row

_AROUND, _MOST = 8, 14


class Entries(Found):
    """The recent files and the recipes and folders of one folder, with a cursor."""

    def __init__(self) -> None:
        super().__init__([])

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        """Return always the same: the box must not jump from folder to folder."""
        return max(1, min(room(viewport) - _AROUND, _MOST))


class Said(Lines):
    """What is to be said about the path, and the keys."""

    def __init__(self, keys: Row) -> None:
        super().__init__()
        self._keys, self.text, self.level = keys, "", "error"

    def rows(self, width: int, height: int) -> list[Row]:
        """Return both lines, the first often empty so that nothing moves."""
        return [R(self.level, clean_line(self.text)), self._keys]

    def say(self, text: str, level: str = "error") -> None:
        """Say something else."""
        self.text, self.level = text, level
        self.redraw()


class FileDialog(Boxed[Path]):
    """A path that is typed, over what there is in its folder; the answer is a path, None after escape."""

    QUESTION: ClassVar[str] = ""
    KEYS: ClassVar[Row] = []
    DEFAULT_CSS = """
    FileDialog Input, FileDialog Input:focus {
        border: none; height: 1; padding: 0 1; background: $lift; color: $strong; margin-bottom: 1;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "move(-1)", "Previous", show=False, id="files.up", priority=True),
        Binding("down", "move(1)", "Next", show=False, id="files.down", priority=True),
        Binding("pageup", "move(-10)", "Page up", show=False, id="files.pageup", priority=True),
        Binding("pagedown", "move(10)", "Page down", show=False, id="files.pagedown", priority=True),
        Binding("tab", "complete", "Complete the path", show=False, id="files.complete", priority=True),
        Binding("enter", "accept", "Accept", show=False, id="files.accept", priority=True),
    ]

    def __init__(self, value: str = "", recent: Sequence[Path] = ()) -> None:
        super().__init__()
        self._value, self._recent = value, tuple(recent)
        self._folder: Path | None = None
        self._entries: list[Entry] = []

    def content(self) -> Iterable[Widget]:
        """Yield question, path, list and keys."""
        yield Says(self.QUESTION)
        yield Input(self._value, placeholder="a path; ~ is your home")
        entries = Entries()
        entries.none = "no recipe here that begins so"
        yield entries
        yield Said(self.KEYS)

    def on_mount(self) -> None:
        """Look into the folder."""
        super().on_mount()
        self.query_one(Input).focus()
        self._look()

    @property
    def value(self) -> str:
        """What is typed."""
        return self.query_one(Input).value

    @value.setter
    def value(self, value: str) -> None:
        field = self.query_one(Input)
        field.value = value
        field.cursor_position = len(value)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Follow the path."""
        event.stop()
        if event.value != (plain := held(event.value).replace("\n", " ").replace("\t", " ")):
            event.input.value = plain
            return
        self.query_one(Said).say("")
        self._look()

    def _look(self) -> None:
        folder, _ = where(self.value)
        if folder == self._folder:
            self._fill()
            return
        self._folder, self._entries = folder, []

        def work() -> None:
            try:
                entries, fault = listing(folder), ""
            except FileNotFoundError:
                entries, fault = [], f"there is no folder {folder}"
            except OSError as error:
                entries, fault = [], f"{folder} cannot be read: {error.strerror}"
            self.app.call_from_thread(self._found, folder, entries, fault)

        self.run_worker(work, thread=True, group="listing", exit_on_error=False, description="read a folder")

    def _found(self, folder: Path, entries: list[Entry], fault: str) -> None:
        if folder != self._folder or not self.is_mounted:
            return  # it went on to another one meanwhile
        self._entries = entries
        if fault:
            self.query_one(Said).say(fault, "warn")
        self._fill()

    def _fill(self) -> None:
        folder, tail = where(self.value)
        recent = self._recent if not self.value.strip() else ()
        items = [PickItem(str(path), path.name, str(path.parent), "Recent") for path in recent]
        heading = f"In {folder}"
        items += [PickItem(str(each.path), each.name, "", heading) for each in fitting(self._entries, tail)]
        self.query_one(Entries).fill(items)

    def chosen(self) -> Path | None:
        """Return what is under the cursor of the list."""
        found = self.query_one(Entries)
        return Path(found.items[found.at].key) if found.items else None

    def _is_folder(self, path: Path) -> bool:
        return any(each.folder and each.path == path for each in self._entries)

    def enter(self, folder: Path) -> None:
        """Go into a folder."""
        self.value = as_typed(folder).rstrip("/") + "/"

    def on_found_clicked(self, event: Found.Clicked) -> None:
        """Take what is under the mouse."""
        event.stop()
        self.action_take()

    def action_move(self, by: int) -> None:
        """Go up or down in the list."""
        self.query_one(Entries).move(by)

    def action_complete(self) -> None:
        """Complete the path as far as it is clear; where it is, take what the cursor is on."""
        done = completed(self.value, self._entries)
        if done != self.value:
            self.value = done
            return
        path = self.chosen()
        if path is not None:
            self.enter(path) if self._is_folder(path) else self._put(path)

    def _put(self, path: Path) -> None:
        self.value = as_typed(path)

    def action_take(self) -> None:
        """Take what the cursor is on."""

    def action_accept(self) -> None:
        """Answer."""
