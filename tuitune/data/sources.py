"""Find the data sets that a recipe names and read their rows."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np

from tuitune.data.builtin import FILES, read_builtin
from tuitune.data.catalog import CATALOG, Entry, find, read_catalog
from tuitune.data.files import FILE_TYPES, LATER_TYPES, RawRow, read_rows
from tuitune.data.guess import guess
from tuitune.data.options import Check, DataOptions, Progress
from tuitune.errors import DataError


@dataclass(frozen=True)
class Source:
    """One data set: how its rows are read, what its file is called, and the rows in the order of training."""

    entry: Entry
    file: str
    rows: Sequence[RawRow]
    fills_identity: bool


def open_sources(names: Sequence[str], options: DataOptions, progress: Progress, check: Check) -> list[Source]:
    """Read the data sets `names` in order; raises DataError."""
    if not names:
        return []
    directory = options.locate(options.dataset_dir)
    # Packaged data sets and files need no catalog, but a name in the user's own goes first.
    needed = not all(name in FILES or _is_file(name) for name in names)
    catalog = read_catalog(directory) if needed or os.path.lexists(directory / CATALOG) else {}
    sources = []
    for done, name in enumerate(names):
        progress("read", done, len(names))
        check()
        sources.append(_open(name, catalog, directory, options, check))
    progress("read", len(names), len(names))
    return sources


def must_exist(name: str, options: DataOptions) -> None:
    """Raise DataError when the data set `name` is not there or of a kind that is not read; no row is looked at."""
    directory = options.locate(options.dataset_dir)
    packaged = name in FILES or _is_file(name)
    catalog = read_catalog(directory) if not packaged or os.path.lexists(directory / CATALOG) else {}
    if name in catalog or not packaged:
        path = directory / find(name, catalog, directory, tuple(FILES)).file_name
    elif name in FILES:
        return
    else:
        path = options.locate(name)
    if not path.is_file():
        next(iter(read_rows(path, lambda: None)), None)  # says in words what is there instead


def _is_file(name: str) -> bool:
    return Path(name).suffix.lower() in (*FILE_TYPES, *LATER_TYPES) or "/" in name


def _open(name: str, catalog: Mapping[str, object], directory: Path, options: DataOptions, check: Check) -> Source:
    limit = options.max_samples
    if name in catalog or not (name in FILES or _is_file(name)):
        entry = find(name, catalog, directory, tuple(FILES))
        path = directory / entry.file_name
        rest = read_rows(path, check)
        rows = list(islice(rest, limit if entry.num_samples is None else None))
        _columns_exist(entry, chain(rows, rest), str(path))
        if entry.num_samples is not None and rows:
            rows = _sampled(rows, entry.num_samples, options.seed, name)[:limit]
        return Source(entry, str(path), rows, name in FILES)
    if name in FILES:
        entry, file, rows = read_builtin(name)
        return Source(entry, file, rows[:limit], True)
    path = options.locate(name)
    rows = list(islice(read_rows(path, check), limit))
    return Source(guess(rows, name), str(path), rows, False)


def _sampled(rows: list[RawRow], wanted: int, seed: int, name: str) -> list[RawRow]:
    """Draw `wanted` rows: without repetition while there are enough, then with it, as LLaMA-Factory does."""
    # The name makes the draw independent of which other data sets are trained on.
    salt = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    generator = np.random.default_rng((seed, salt))
    order = generator.permutation(len(rows))[:wanted]
    more = generator.choice(len(rows), max(wanted - len(order), 0))
    return [rows[index] for index in (*order, *more)]


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
            f"The rows have: {', '.join(list(seen)[:12])}.",
        )
