"""Find the data sets that a recipe names, and read their rows."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path

from tuitune.data.builtin import FILES, PackagedRows, fill
from tuitune.data.catalog import CATALOG, find, read_catalog
from tuitune.data.conversation import Conversation, Document
from tuitune.data.convert import Media, convert
from tuitune.data.entry import Entry, Remote
from tuitune.data.files import FILE_TYPES, FileRows, RawRow, Rows, data_files
from tuitune.data.guess import guess
from tuitune.data.options import KINDS, Check, DataOptions, Kind, Progress
from tuitune.data.sampling import Drawn, First
from tuitune.data.suits import listed, suited
from tuitune.errors import DataError

ONLINE, REMOTE = "ONLINE", "REMOTE:"
# Rows that tell the form of a file.
_HEAD = 256


@dataclass(frozen=True)
class Source:
    """One data set: how its rows are read, what its file is called, and its rows in the order of the file."""

    entry: Entry
    file: str
    rows: Rows
    kind: Kind
    notes: tuple[str, ...] = ()
    media: Media = field(default_factory=Media)
    names: Mapping[str, str | None] | None = None  # what is put in the places of the packaged data sets
    paths: tuple[Path, ...] = ()
    sampling: tuple[object, ...] = ()

    def read(self, row: RawRow) -> Conversation | Document:
        """Return what `row` holds for the stage; raises UnusableRow with the reason."""
        made = convert(row.value, self.entry, self.kind, self.media)
        if self.names is not None and isinstance(made, Conversation):
            return fill(made, self.names["name"], self.names["author"])
        return made

    def fingerprint(self) -> str:
        """Return a hash that changes with the files, with how they are read and with which rows are taken."""
        stats = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in self.paths]
        entry = (self.entry.formatting, sorted(self.entry.columns.items()), sorted(self.entry.tags.items()))
        names = None if self.names is None else sorted(self.names.items(), key=str)
        parts = (self.file, stats, entry, self.kind, self.sampling, names, self.media.folders)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class _Place:
    """Where the names of a recipe are looked up."""

    options: DataOptions
    directory: Path
    catalog: Mapping[str, object]
    progress: Progress
    check: Check

    @property
    def stage(self) -> str:
        return self.options.stage


def open_sources(names: Sequence[str], options: DataOptions, progress: Progress, check: Check) -> list[Source]:
    """Open the data sets `names` in order, fetching what lies on a hub; raises DataError.

    The first rows of each are looked at: whether they are there, and what the stage learns from.
    """
    if not names:
        return []
    place = _place(names, options, progress, check)
    sources = []
    for done, name in enumerate(names):
        progress("read", done, len(names))
        check()
        sources.append(_open(name, place))
    progress("read", len(names), len(names))
    return sources


def must_exist(name: str, options: DataOptions) -> None:
    """Raise DataError when the data set `name` is not there, or its first rows are nothing that the stage learns from.

    What lies on a hub is not asked for.
    """
    if options.dataset_dir.startswith(REMOTE) and not _packaged_or_file(name):
        return
    place = _place([name], options, lambda stage, done, total: None, lambda: None)
    entry, _ = _found(name, place)
    if entry is None or entry.remote is None:
        _open(name, place)
    else:
        from tuitune.data.hub import readable

        readable(entry.remote)


def _place(names: Sequence[str], options: DataOptions, progress: Progress, check: Check) -> _Place:
    where = options.dataset_dir
    if where == ONLINE:
        return _Place(options, options.locate("."), {}, progress, check)
    if where.startswith(REMOTE):
        from tuitune.data.hub import fetch_catalog

        directory = fetch_catalog(where.removeprefix(REMOTE))
        return _Place(options, directory, read_catalog(directory), progress, check)
    directory = options.locate(where)
    # Packaged data sets and files need no catalog, but a name in the user's own goes first.
    needed = not all(_packaged_or_file(name) for name in names)
    there = needed or os.path.lexists(directory / CATALOG)
    return _Place(options, directory, read_catalog(directory) if there else {}, progress, check)


def _packaged_or_file(name: str) -> bool:
    return name in FILES or _is_file(name)


def _is_file(name: str) -> bool:
    return Path(name).suffix.lower() in FILE_TYPES or "/" in name


def _found(name: str, place: _Place) -> tuple[Entry | None, Path | None]:
    """Return the catalog's entry and the file or folder of `name`; neither for a packaged one."""
    options = place.options
    if name not in place.catalog and options.dataset_dir == ONLINE and name not in FILES:
        if Path(name).suffix.lower() not in FILE_TYPES and not options.locate(name).exists():
            return Entry(name, "", "alpaca", {}, {}, remote=Remote("hf", name)), None
        return None, options.locate(name)
    if name in place.catalog or not _packaged_or_file(name):
        entry = find(name, place.catalog, place.directory, tuple(FILES))
        return entry, None if entry.remote else _file_of(entry, place)
    return None, None if name in FILES else _named_file(name, options)


def _named_file(name: str, options: DataOptions) -> Path:
    path = options.locate(name)
    if not path.exists() and not path.suffix:
        raise DataError(
            f"{path} does not exist",
            f"A data set of the Hugging Face hub is named with hf_hub_url in {CATALOG}, or with dataset_dir: {ONLINE}.",
        )
    return path


def _file_of(entry: Entry, place: _Place) -> Path:
    path = place.directory / entry.file_name
    if place.options.dataset_dir.startswith(REMOTE) and not path.exists():
        from tuitune.data.hub import fetch_file

        return fetch_file(place.options.dataset_dir.removeprefix(REMOTE), entry.file_name)
    return path


def _open(name: str, place: _Place) -> Source:
    entry, path = _found(name, place)
    options = place.options
    if entry is None and path is None:
        rows: Rows = PackagedRows(name)
        guessed, _ = guess(list(islice(rows, _HEAD)), name, place.stage)
        source = Source(guessed, f"{FILES[name]} (built in)", rows, KINDS[place.stage], names=_names(options))
        return _limited(source, place)
    notes: tuple[str, ...] = ()
    if entry is not None and entry.remote is not None:
        from tuitune.data.hub import fetch

        paths, note = fetch(entry.remote, place.progress, place.check)
        shown, notes = entry.remote.repo, (note,)
    else:
        assert path is not None
        paths, shown = data_files(path), str(path)
    rows = FileRows(paths, place.check)
    entry, note = _described(entry, rows, name, shown, place)
    folders = _media_folders(paths, place)
    source = Source(
        entry, shown, rows, KINDS[place.stage], (*notes, note) if note else notes, Media(folders), paths=paths
    )
    # A user's own data set of a packaged one's name takes its place.
    return _limited(replace(source, names=_names(options)) if name in FILES else source, place)


def _names(options: DataOptions) -> dict[str, str | None]:
    return {"name": options.name, "author": options.author}


def _described(entry: Entry | None, rows: Rows, name: str, file: str, place: _Place) -> tuple[Entry, str]:
    """Return the entry as the stage reads it, from the catalog or guessed, and a note."""
    rest = iter(rows)
    head = list(islice(rest, _HEAD))
    if entry is None or not (entry.columns or entry.file_name):
        guessed, note = guess(head, name, place.stage, _said_place(entry, file))
        return guessed if entry is None else replace(guessed, remote=entry.remote), note
    entry, note = suited(entry, head, place.stage)
    _columns_exist(entry, chain(head, rest), file)
    return entry, note


def _said_place(entry: Entry | None, file: str) -> str:
    """Return how a catalog would say where the rows lie."""
    return f'"hf_hub_url": "{file}"' if entry is not None and entry.remote is not None else f'"file_name": "{file}"'


def _media_folders(paths: Sequence[Path], place: _Place) -> tuple[Path, ...]:
    options = place.options
    own = () if options.media_dir is None else (options.locate(options.media_dir),)
    return tuple(dict.fromkeys((*own, place.directory, *(path.parent for path in paths))))


def _limited(source: Source, place: _Place) -> Source:
    """Apply num_samples of the catalog, then max_samples of the recipe."""
    wanted, limit = source.entry.num_samples, place.options.max_samples
    rows = source.rows
    if wanted is not None:
        rows = Drawn(rows, wanted, limit, place.options.seed, source.entry.name)
    elif limit is not None:
        rows = First(rows, limit)
    seed = place.options.seed if wanted is not None else None
    return replace(source, rows=rows, sampling=(wanted, limit, seed))


def _columns_exist(entry: Entry, rows: Iterable[RawRow], file: str) -> None:
    """Refuse a column that the catalog names and no row has: a slip there would silently leave its text out."""
    missing = {column: key for key, column in entry.columns.items()} if entry.named_columns else {}
    seen: dict[str, None] = {}
    for row in rows:
        if not missing:
            return
        if isinstance(row.value, dict):
            seen.update(dict.fromkeys(row.value))
            missing = {column: key for column, key in missing.items() if column not in row.value}
    for column, key in missing.items() if seen else ():
        raise DataError(
            f"{file}: no row has the column {column!r}, which {CATALOG} names as {key} of {entry.name!r}",
            f"The rows have: {listed(seen)}.",
        )
