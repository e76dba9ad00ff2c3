"""Which rows an evaluation measures: data sets and files to choose from, and whether a command could read them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.data.builtin import FILES
from tuitune.data.catalog import CATALOG, read_catalog
from tuitune.data.files import FILE_TYPES
from tuitune.errors import DataError, TuiTuneError
from tuitune.recipe import FIELDS
from tuitune.text import clean_line
from tuitune.tui.asking import PickItem, TextAsk
from tuitune.tui.picking import pick

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

_OTHER = "\0"  # the key of what is typed: no file is called so
_MOST = 100  # files of a folder
_FACTS = ("A file of rows like those that were trained on, or a data set's name in dataset_dir (2).",)


def ask_data(
    app: TuiTune,
    subject: str | None,
    settings: Sequence[str],
    look: Callable[[], list[PickItem]],
    then: Callable[[str], None],
    chosen: str,
) -> None:
    """Let the user choose rows; `then` gets a name or file, "" for the subject's own. What is not there is refused."""

    def take(text: str) -> None:
        path = Path(text).expanduser()
        data = str(path.absolute()) if text and path.is_file() else text  # the command may run in another folder
        if not data or subject is None:
            then(data)
            return
        app.say(f"looking at {clean_line(path.name)} ...")
        app.in_thread("evaluate-data", lambda: trouble(subject, settings, data), lambda problem: told(data, problem))

    def told(data: str, problem: str) -> None:
        if problem:
            app.say(f"not taken: {problem}", "error")
        else:
            app.say(f"rows of {clean_line(Path(data).name)}")
            then(data)

    def picked(key: str) -> None:
        if key != _OTHER:
            take(key)
            return
        ask = TextAsk("Which rows?", chosen, facts=_FACTS, validate=lambda text: "" if text.strip() else "type a name")
        app.push_screen(ask, lambda text: None if text is None else take(text.strip()))

    pick(app, "Which rows?", look, picked, group="evaluate-rows", chosen=chosen)


def trouble(subject: str, settings: Sequence[str], data: str) -> str:
    """Return in words why these rows cannot be measured, "" where nothing is known against them. For a thread."""
    from tuitune.data.sources import must_exist
    from tuitune.face.subject import subject_of

    try:
        recipe = subject_of(subject, settings).recipe
    except TuiTuneError:
        return ""  # that is no fault of the data: the command says it
    try:
        must_exist(data, recipe)
    except DataError as error:
        return f"{error.message}. {error.hint}" if error.hint else error.message
    return ""


def choices(values: Mapping[str, object], settings: Sequence[str], own: str, chosen: str) -> list[PickItem]:
    """Return what there is, values: of the run's recipe, own: what its own rows are. Looks at the disk."""
    folder = _folder(values, settings)
    items = [PickItem("", own, "where nothing is named")]
    named = list(_named(folder))
    files = {item.note for item in named}
    here = [*_files(Path.cwd(), "Files here")]
    there = [*_files(folder, f"Files in {folder}")] if folder is not None and folder.resolve() != Path.cwd() else []
    found = [*named, *here, *(item for item in there if item.title not in files)]
    if chosen and all(item.key != chosen for item in found):
        items.append(PickItem(chosen, clean_line(Path(chosen).name), "as now"))
    return [*items, *found, PickItem(_OTHER, "another ...", "type a file or a name", "Elsewhere")]


def _folder(values: Mapping[str, object], settings: Sequence[str]) -> Path | None:
    """Return the folder of data sets, None where it is on a hub."""
    asked = next((word.partition("=")[2] for word in settings if word.startswith("dataset_dir=")), None)
    folder = Path(str(asked or values.get("dataset_dir") or FIELDS["dataset_dir"].default)).expanduser()
    return folder if folder.is_dir() else None


def _named(folder: Path | None) -> Iterator[PickItem]:
    """Yield the data sets of a folder that have names, then those that are built in."""
    try:
        catalog = read_catalog(folder) if folder is not None else {}
    except DataError:
        catalog = {}
    for name, entry in catalog.items():
        file = entry.get("file_name") if isinstance(entry, dict) else None
        yield PickItem(name, clean_line(name), clean_line(str(file or "on a hub")), f"Data sets of {CATALOG}")
    for name in FILES:
        if name not in catalog:
            yield PickItem(name, name, "built in", "Data sets of TuiTune")


def _files(folder: Path, group: str) -> Iterator[PickItem]:
    try:
        found = sorted(path for path in folder.iterdir() if path.suffix.lower() in FILE_TYPES and path.is_file())
    except OSError:
        return
    for path in [path for path in found if path.name != CATALOG][:_MOST]:
        yield PickItem(str(path.absolute()), clean_line(path.name), "", clean_line(group))
