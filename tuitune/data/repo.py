"""Which files of a data set's repository hold the rows of a split: by what its card says, else by their names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePosixPath

from tuitune.data.entry import Remote
from tuitune.data.files import FILE_TYPES
from tuitune.errors import DataError

CARD = "README.md"
_PACKED = (".gz", ".zst", ".zip", ".bz2", ".xz", ".tar")
_BESIDE = re.compile(
    r"(^|/)(dataset_infos?|dataset_dict|state|config|metadata|package)\.json$|(^|/)[._]|requirements\.txt$"
)
_PREFERRED = (".parquet", ".jsonl", ".json", ".csv", ".arrow", ".txt")
# What people call the splits.
_SPLITS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "dev", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_OF = re.compile(r"^(.*?)-(\d{5})-of-(\d{5})(\D.*)?$")


def choose(names: Iterable[str], card: str, remote: Remote) -> list[str]:
    """Return the files of the wanted subset, split and folder, of one type and sorted; raises DataError."""
    if not re.fullmatch(r"[\w.-]+", remote.split):
        raise DataError(
            f"{remote.repo}: split {remote.split!r} is not a name",
            "Name one split, such as train; max_samples or num_samples take a part of it.",
        )
    files = sorted(name for name in names if not _BESIDE.search(name) and name != CARD)
    if not any(_suffix(name) in FILE_TYPES for name in files):
        raise _nothing(files, remote)
    if remote.folder is not None:
        files = _below(files, remote.folder, remote)
    patterns = _declared(card, remote) if remote.folder is None else None
    if patterns is not None:
        chosen = [name for name in files if any(pattern.fullmatch(name) for pattern in patterns)]
    else:
        chosen = _by_names(files, remote)
    return _whole(_one_type(chosen, remote), remote)


def _below(files: Sequence[str], folder: str, remote: Remote) -> list[str]:
    prefix = folder.strip("/") + "/"
    found = [name for name in files if name.startswith(prefix)]
    if not found:
        folders = sorted({name.rpartition("/")[0] for name in files} - {""})
        raise DataError(f"{remote.repo} has no folder {folder!r}", f"It has: {', '.join(folders[:12]) or 'none'}.")
    return found


def _declared(card: str, remote: Remote) -> list[re.Pattern[str]] | None:
    """Return the file patterns that the card declares for the subset and the split; None if it declares none."""
    configs = {str(config.get("config_name", "default")): config for config in _configs(card)}
    if not configs:
        return None
    if remote.subset is not None:
        name = remote.subset
    else:
        marked = [name for name, config in configs.items() if config.get("default") is True]
        name = (marked or [name for name in configs if name == "default" or len(configs) == 1] or [""])[0]
    if name not in configs:
        what = f"has no subset {name!r}" if name else "has several subsets"
        raise DataError(f"{remote.repo} {what}", f"Set subset to one of {', '.join(list(configs)[:12])}.")
    splits = _splits(configs[name])
    if not splits:
        return None
    if remote.split not in splits:
        raise DataError(f"{remote.repo} has no split {remote.split!r}", f"It has: {', '.join(splits)}.")
    inside = str(configs[name].get("data_dir") or "").strip("/")
    return [_pattern(f"{inside}/{path}" if inside else path) for path in splits[remote.split]]


def _configs(card: str) -> list[Mapping[str, object]]:
    """Return the `configs` of the card's header."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    header = re.match(r"---\r?\n(.*?)\r?\n---", card, re.DOTALL)
    if header is None:
        return []
    try:
        value = YAML(typ="safe").load(header[1])
    except (YAMLError, ValueError, RecursionError):  # a header that nobody can read declares nothing
        return []
    configs = value.get("configs") if isinstance(value, dict) else None
    return [config for config in configs if isinstance(config, dict)] if isinstance(configs, list) else []


def _splits(config: Mapping[str, object]) -> dict[str, list[str]]:
    """Return the paths of every split that a configuration declares."""
    value = config.get("data_files")
    found: dict[str, list[str]] = {}
    for part in value if isinstance(value, list) else [value]:
        split, paths = (part.get("split", "train"), part.get("path")) if isinstance(part, dict) else ("train", part)
        for path in paths if isinstance(paths, list) else [paths]:
            if isinstance(path, str):
                found.setdefault(str(split), []).append(path)
    return found


def _pattern(glob: str) -> re.Pattern[str]:
    """Translate a glob: * stays within a folder, ** does not."""
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    pieces = re.split(r"(\*\*/|\*\*|\*|\?)", glob.removeprefix("./"))
    return re.compile("".join(parts.get(piece, re.escape(piece)) for piece in pieces))


def _by_names(files: Sequence[str], remote: Remote) -> list[str]:
    """Choose by the words in folders and file names; a repository that names no split anywhere is all `train`."""
    if remote.subset is not None:
        files = _below(files, _subset_folder(files, remote), remote)
    readable = [name for name in files if _suffix(name) in FILE_TYPES] or list(files)
    split_of = {name: _split_of(name) for name in readable}
    named = sorted({split for split in split_of.values() if split})
    if not named:
        chosen = readable if remote.split == "train" else []
    else:
        chosen = [name for name in readable if split_of[name] == remote.split]
    if not chosen and readable:
        raise DataError(f"{remote.repo} has no split {remote.split!r}", f"It has: {', '.join(named) or 'train'}.")
    return chosen


def _subset_folder(files: Sequence[str], remote: Remote) -> str:
    assert remote.subset is not None
    folders = sorted({name.rpartition("/")[0] for name in files} - {""})
    for folder in folders:
        if remote.subset in PurePosixPath(folder).parts:
            parts = PurePosixPath(folder).parts
            return "/".join(parts[: parts.index(remote.subset) + 1])
    raise DataError(
        f"{remote.repo} has no subset {remote.subset!r}", f"Its folders: {', '.join(folders[:12]) or 'none'}."
    )


def _split_of(name: str) -> str:
    """Return the split that a file's name or, if it names none, one of its folders speaks of; "" for none."""
    path = PurePosixPath(name)
    for part in (path.name, *reversed(path.parts[:-1])):
        words = re.split(r"[^a-z]+", part.lower())
        for split, names in _SPLITS.items():
            if any(word in names for word in words):
                return split
    return ""


def _one_type(chosen: Sequence[str], remote: Remote) -> list[str]:
    """Keep the most frequent readable type, as datasets does."""
    counts = Counter(_suffix(name) for name in chosen)
    types = [kind for kind in _PREFERRED if counts[kind]]
    if types:
        best = max(types, key=lambda kind: (counts[kind], -_PREFERRED.index(kind)))
        return [name for name in chosen if _suffix(name) == best]
    raise _nothing(chosen, remote)


def _nothing(files: Sequence[str], remote: Remote) -> DataError:
    packed = next((name for name in files if _suffix(name) in _PACKED), None)
    if packed is not None:
        return DataError(
            f"{remote.repo} keeps its rows packed, such as {packed}",
            "Download and unpack it, and give the file as file_name.",
        )
    code = next((name for name in files if name.endswith(".py")), None)
    if code is not None:
        return DataError(
            f"{remote.repo} has no data files but a program that makes them ({code}); TuiTune runs none to read data",
            "Use a copy of it with parquet or json files, or save its rows as jsonl yourself.",
        )
    return DataError(f"{remote.repo} holds no data files", f"Files that are read: {', '.join(FILE_TYPES)}.")


def _whole(chosen: list[str], remote: Remote) -> list[str]:
    """Refuse a split of which files are missing, which their numbering tells."""
    found: dict[tuple[str, int], int] = {}
    for name in chosen:
        match = _OF.match(name)
        if match:
            key = (match[1], int(match[3]))
            found[key] = found.get(key, 0) + 1
    for (stem, count), there in found.items():
        if there != count:
            raise DataError(
                f"{remote.repo}: {there} of the {count} files of {stem} are there", "Fetch it again with a network."
            )
    return chosen


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()
