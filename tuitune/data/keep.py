"""A prepared data set in a folder: .npy arrays, mapped when they are read, and about.json, which is written last.

Nothing is pickled. A folder is made under another name and gets its own once it is whole.
"""

from __future__ import annotations

import os
import shutil
import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import orjson
from numpy.typing import NDArray

from tuitune.data.columns import Kept
from tuitune.data.examples import Examples, Origins
from tuitune.data.pile import read_array, write_array
from tuitune.data.report import BadRow, DataReport, Duplicate
from tuitune.data.rows import TokenRows
from tuitune.errors import DataError
from tuitune.run.files import private_dir, write_atomic

ABOUT = "about.json"
FORMAT = 1
_SAMPLE = 1 << 20  # bytes at the beginning, in the middle and at the end of a file that a checksum looks at

About = Mapping[str, Any]


class Unreadable(Exception):
    """A folder that holds no whole data set; the text says why."""


@dataclass(frozen=True)
class Loaded:
    """What a folder holds."""

    train: Examples
    evaluation: Examples | None
    report: DataReport


@contextmanager
def under_way(target: Path) -> Iterator[Path]:
    """Give a private folder beside `target` to write into, and remove it afterwards if it is still there."""
    folder = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        shutil.rmtree(folder, ignore_errors=True)
        yield private_dir(folder)
    except OSError as error:
        raise DataError(
            f"the tokenised rows cannot be kept in {target.parent}: {error.strerror or error}",
            "Free some space, or point TUITUNE_CACHE at a folder that you can write.",
        ) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def keep(folder: Path, target: Path, made: Loaded, about: About) -> None:
    """Write what is not yet in `folder`, describe it, and move it to `target` (whose former content goes)."""
    sets = {"train": _written(made.train, folder, "train")}
    if made.evaluation is not None:
        sets["evaluation"] = _written(made.evaluation, folder, "evaluation")
    used = {name for arrays in sets.values() for name in arrays["arrays"].values()}
    for file in folder.iterdir():
        if file.name not in used:
            file.unlink()  # of a step on the way
    files = {name: [(folder / name).stat().st_size, sampled_checksum(folder / name)] for name in sorted(used)}
    content = {"format": FORMAT, "about": about, "sets": sets, "files": files, "report": asdict(made.report)}
    write_atomic(folder / ABOUT, orjson.dumps(content, option=orjson.OPT_INDENT_2))
    _move(folder, target)


def _move(folder: Path, target: Path) -> None:
    if target.exists():
        shutil.rmtree(target, ignore_errors=True)
    try:
        folder.rename(target)
    except OSError:
        if not (target / ABOUT).is_file():  # unless another process has just made the same
            raise


def read_about(folder: Path) -> dict[str, Any]:
    """Return the description of a folder; raises Unreadable."""
    try:
        content = orjson.loads((folder / ABOUT).read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise Unreadable(f"its {ABOUT} cannot be read ({error})") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise Unreadable(f"its {ABOUT} is of another version")
    return content


def load(folder: Path) -> Loaded:
    """Return what `keep` wrote, mapped; raises Unreadable for anything that is not whole."""
    content = read_about(folder)
    try:
        for name, (size, checksum) in content["files"].items():
            if (folder / name).stat().st_size != size or sampled_checksum(folder / name) != checksum:
                raise Unreadable(f"{name} is damaged")
        sets = {name: _read(each, folder) for name, each in content["sets"].items()}
        return Loaded(sets["train"], sets.get("evaluation"), _report(content["report"]))
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise Unreadable(f"it cannot be read ({type(error).__name__}: {error})") from None


def _arrays(examples: Examples) -> dict[str, NDArray[Any]]:
    rows, columns, origins = examples.rows, examples.columns, examples.origins
    found: dict[str, NDArray[Any] | None] = {
        "ids": rows.ids, "labelled": rows.labelled, "offsets": rows.offsets, "order": rows.order, "late": rows.late,
        "starts": examples.starts, "indices": examples.indices, "desirable": examples.desirable,
    }  # fmt: skip
    if isinstance(columns, Kept):
        found |= {"text": columns.text, "ends": columns.ends, "columns_order": columns.order}
    if origins is not None:
        found |= {"file": origins.file, "number": origins.number, "lost": origins.lost}
    return {name: array for name, array in found.items() if array is not None}


def _written(examples: Examples, folder: Path, name: str) -> dict[str, Any]:
    """Write the arrays that are not in `folder` already; return where each lies."""
    arrays = {}
    for kind, array in _arrays(examples).items():
        there = _file_of(array, folder)
        if there is None:
            there = f"{name}-{kind}.npy"
            write_array(folder / there, array)
        arrays[kind] = there
    files = list(examples.origins.files) if examples.origins else []
    return {"arrays": arrays, "files": files, "late_id": examples.rows.late_id}


def _file_of(array: NDArray[Any], folder: Path) -> str | None:
    base = array.base
    if not isinstance(base, np.memmap) or base.shape != array.shape or base.filename is None:
        return None
    path = Path(base.filename)
    return path.name if path.parent == folder else None


def _read(entry: Mapping[str, Any], folder: Path) -> Examples:
    arrays: dict[str, Any] = {kind: read_array(folder / _plain(name)) for kind, name in entry["arrays"].items()}
    rows = TokenRows(
        arrays["ids"], arrays["labelled"], arrays["offsets"], arrays.get("order"), arrays["late"], entry["late_id"]
    )
    columns = Kept(arrays["text"], arrays["ends"], arrays.get("columns_order")) if "text" in arrays else None
    origins = Origins(tuple(entry["files"]), arrays["file"], arrays["number"], arrays["lost"])
    return Examples(rows, arrays["starts"], arrays["indices"], arrays.get("desirable"), columns, origins)


def _plain(name: str) -> str:
    if Path(name).name != name:
        raise ValueError(f"{name} lies elsewhere")
    return name


def _report(content: dict[str, Any]) -> DataReport:
    bad = [BadRow(**row) for row in content.pop("bad")]
    duplicates = [Duplicate(**row) for row in content.pop("duplicate_rows")]
    return DataReport(**content, bad=bad, duplicate_rows=duplicates)


def sampled_checksum(path: Path) -> int:
    """Return a checksum of a file's beginning, middle and end: instant, and what a broken write damages is there."""
    size = path.stat().st_size
    found = 0
    with path.open("rb") as file:
        for begin in dict.fromkeys((0, max(size // 2 - _SAMPLE // 2, 0), max(size - _SAMPLE, 0))):
            file.seek(begin)
            found = zlib.crc32(file.read(_SAMPLE), found)
    return found
