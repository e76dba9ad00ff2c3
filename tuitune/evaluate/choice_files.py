"""Where a benchmark's questions lie: a folder, or the zip file in it, in the shapes in which benchmarks are passed on.

    mmlu/test/anatomy_test.csv, mmlu/dev/anatomy_dev.csv       Hendrycks' tar, LLaMA-Factory's zip files (below data/)
    cmmlu/test/anatomy.csv, cmmlu/dev/anatomy.csv              CMMLU
    mmlu/anatomy/test-00000-of-00001.parquet                   the Hugging Face hub
    mine/test.jsonl, mine/dev.jsonl                            one file a split; a column `subject` tells them apart

Nothing is ever unpacked to the disk: names in a zip file are names and no paths.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from tuitune.data.files import read_bytes
from tuitune.errors import DataError, UsageError
from tuitune.text import clean_line

SPLITS = {
    "test": "test", "val": "validation", "valid": "validation", "validation": "validation", "dev": "dev",
    "train": "train",
}  # fmt: skip
TYPES = (".csv", ".jsonl", ".parquet")
_SHARD = re.compile(r"-\d{5}-of-\d{5}$")
_WRAPPERS = ("data", "")  # folders that say nothing of a subject
_ALL = "all"
_MOST_BYTES = 512 << 20
_MOST_FILES = 20_000


@dataclass(frozen=True)
class File:
    """One file of one split; subject is "" where its rows name theirs. place: for messages; content: its bytes."""

    split: str
    subject: str
    suffix: str
    place: str
    content: Callable[[], bytes]


def split_name(name: str) -> tuple[str, str]:
    """Return task and split of a name: mmlu_test is (mmlu, test); without a split the test is meant."""
    task, _, word = name.rpartition("_")
    return (task, SPLITS[word]) if task and word in SPLITS else (name, "test")


def files_of(folder: Path) -> list[File]:
    """Return the files of all splits of a benchmark. Raises UsageError or DataError where there are none."""
    if not folder.is_dir():
        raise UsageError(f"there is no benchmark at {folder}", _near(folder))
    found = list(_classified(_in_folder(folder)))
    if not found:
        found = [file for archive in sorted(folder.glob("*.zip")) for file in _classified(_in_zip(archive))]
    if not found:
        raise DataError(
            f"{folder} holds no questions",
            "put test/SUBJECT_test.csv and dev/SUBJECT_dev.csv there (also .jsonl or .parquet), or a zip file of them",
        )
    # The hub's MMLU has every question once more in `all`.
    apart = [file for file in found if file.subject != _ALL]
    if any(file.subject for file in apart):
        return apart
    return [replace(file, subject="" if file.subject == _ALL else file.subject) for file in found]


def _near(folder: Path) -> str:
    if not folder.parent.is_dir():
        return "set task_dir to the folder that holds benchmarks, such as task_dir/mmlu"
    others = sorted(clean_line(entry.name) for entry in folder.parent.iterdir() if entry.is_dir())
    return f"{folder.parent} holds {', '.join(others[:8]) or 'no folder'}; task_dir names another folder of benchmarks"


def _classified(entries: Iterable[tuple[str, str, Callable[[], bytes]]]) -> Iterator[File]:
    for name, place, content in entries:
        known = _split_and_subject(PurePosixPath(name))
        if known is not None:
            yield File(*known, PurePosixPath(name).suffix.lower(), place, content)


def _split_and_subject(path: PurePosixPath) -> tuple[str, str] | None:
    """Return what the name of a file says of it; None for one that is no split of anything."""
    if path.suffix.lower() not in TYPES or any(part.startswith((".", "__")) for part in path.parts):
        return None
    stem, folders = _SHARD.sub("", path.stem), [part.lower() for part in path.parts[:-1]]
    subject, word = split_name(stem) if stem.rpartition("_")[2] in SPLITS else (stem, "")
    above = next((SPLITS[part] for part in reversed(folders) if part in SPLITS), None)
    if above is not None:
        return above, "" if stem.lower() in SPLITS else subject
    if stem.lower() in SPLITS:
        parent = path.parts[-2] if len(path.parts) > 1 else ""
        return SPLITS[stem.lower()], "" if parent.lower() in _WRAPPERS else parent
    return (word, subject) if word else None


def _in_folder(folder: Path) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    try:
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
    except OSError as error:
        raise DataError(f"{folder} cannot be read: {error.strerror}") from error
    for path in paths[:_MOST_FILES]:
        yield path.relative_to(folder).as_posix(), str(path), partial(_read, path)


def _read(path: Path) -> bytes:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path} is larger than {_MOST_BYTES >> 20} MB", "no benchmark of questions is that large")
        return read_bytes(path, lambda: None)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _in_zip(archive: Path) -> Iterator[tuple[str, str, Callable[[], bytes]]]:
    try:
        with zipfile.ZipFile(archive) as opened:
            members = [info for info in opened.infolist() if not info.is_dir()]
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{archive} is no zip file that can be read: {error}", "fetch it again") from error
    for info in sorted(members, key=lambda info: info.filename)[:_MOST_FILES]:
        yield info.filename, f"{archive}: {clean_line(info.filename)}", partial(_member, archive, info)


def _member(archive: Path, info: zipfile.ZipInfo) -> bytes:
    place = f"{archive}: {clean_line(info.filename)}"
    try:
        with zipfile.ZipFile(archive) as opened, opened.open(info) as stream:
            data = stream.read(_MOST_BYTES + 1)
    except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError, ValueError) as error:
        raise DataError(f"{place} cannot be read: {clean_line(str(error))}", "unpack it yourself") from error
    if len(data) > _MOST_BYTES:
        raise DataError(f"{place} is larger than {_MOST_BYTES >> 20} MB", "no benchmark of questions is that large")
    return data
