"""`dataset_info.json` in LLaMA-Factory's schema: what each data set is called and how its columns are named."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from tuitune.data.conversation import describe
from tuitune.data.entry import DEFAULT_COLUMNS, DEFAULT_TAGS, OPENAI_TAGS, PAIR, Entry, Formatting, Remote, Service
from tuitune.data.files import decoded, read_bytes
from tuitune.errors import DataError

CATALOG = "dataset_info.json"
_FORMATS: tuple[Formatting, ...] = ("alpaca", "sharegpt", "openai")
_SERVICES: dict[str, Service] = {"hf_hub_url": "hf", "ms_hub_url": "ms", "om_hub_url": "om"}
_PLACES = (*_SERVICES, "script_url", "cloud_file_name", "file_name")
_KEYS = (*_PLACES, "formatting", "ranking", "subset", "split", "folder", "num_samples", "columns", "tags")
_COLUMNS = (
    "prompt", "query", "response", "history", "messages", "system", "tools", "images", "videos", "audios", "chosen",
    "rejected", "kto_tag",
)  # fmt: skip
_TAGS = ("role_tag", "content_tag", "user_tag", "assistant_tag", "observation_tag", "function_tag", "system_tag")


def read_catalog(directory: Path) -> dict[str, object]:
    """Return the raw entries of `directory`'s dataset_info.json by name; raises DataError for what is not one."""
    path = directory / CATALOG
    if not os.path.lexists(path):
        raise DataError(
            f"there is no {CATALOG} in {directory}",
            "Set `dataset_dir` to the folder that has it, or write one that names your data files.",
        )
    content = decoded(read_bytes(path, lambda: None), str(path))
    try:
        value = json.loads(content, object_pairs_hook=lambda pairs: _unique(pairs, path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}, line {error.lineno}, column {error.colno}: not valid JSON ({error.msg})") from None
    except (RecursionError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise DataError(f"{path} holds {describe(value)}, not an object of data sets by name")
    return value


def _unique(pairs: list[tuple[str, object]], path: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise DataError(f"{path} names {key!r} twice", "Keep one of the two.")
        found[key] = value
    return found


def find(name: str, catalog: Mapping[str, object], directory: Path, others: tuple[str, ...] = ()) -> Entry:
    """Return the entry `name`, checked; raises DataError with the nearest name when there is none."""
    if name in catalog:
        return parse_entry(name, catalog[name], str(directory / CATALOG))
    near = difflib.get_close_matches(name, [*catalog, *others], n=1)
    hint = f"Did you mean {near[0]!r}?" if near else f"It has: {', '.join(list(catalog)[:12]) or 'nothing'}."
    raise DataError(f"there is no data set {name!r} in {directory / CATALOG}", hint)


def parse_entry(name: str, raw: object, file: str) -> Entry:
    """Check one raw entry and fill in the defaults; raises DataError."""
    where = f"{file}: data set {name!r}"
    if not isinstance(raw, dict):
        raise DataError(f"{where} is {describe(raw)}, not an object")
    _known(raw, _KEYS, where)
    remote = _remote(raw, where)
    formatting = raw.get("formatting", "alpaca")
    if formatting not in _FORMATS:
        raise DataError(f"{where}: formatting is {formatting!r}", f"Use one of {', '.join(_FORMATS)}.")
    # LLaMA-Factory's rule: once `columns` or `tags` is there, whatever it does not list is not read.
    columns = _section(raw, "columns", _COLUMNS, where)
    tags = _section(raw, "tags", _TAGS, where)
    ranking = _ranking(raw, columns, where)
    default_tags = {} if formatting == "alpaca" else OPENAI_TAGS if formatting == "openai" else DEFAULT_TAGS
    entry = Entry(
        name=name,
        file_name="" if remote else _file_name(raw, where),
        formatting=formatting,
        columns=DEFAULT_COLUMNS[formatting] | (PAIR if ranking else {}) if columns is None else columns,
        tags=default_tags if tags is None else tags,
        num_samples=_count(raw.get("num_samples"), where),
        named_columns=columns is not None,
        ranking=ranking,
        remote=remote,
    )
    _needed(entry, where)
    return entry


def _known(raw: Mapping[str, object], keys: tuple[str, ...], where: str) -> None:
    for key in raw:
        if key not in keys:
            near = difflib.get_close_matches(key, keys, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known are {', '.join(keys)}."
            raise DataError(f"{where}: unknown key {key!r}", hint)


def _file_name(raw: Mapping[str, object], where: str) -> str:
    file_name = raw.get("file_name")
    if not isinstance(file_name, str) or not file_name.strip():
        raise DataError(f"{where} has no file_name", "Give the name of its file or folder, or hf_hub_url.")
    for key in ("subset", "folder"):
        if raw.get(key) is not None:
            raise DataError(f"{where}: {key} belongs to data sets of a hub, not to a file", "Remove the key.")
    if raw.get("split", "train") != "train":
        raise DataError(f"{where}: split is {raw['split']!r}", "A file has only the split 'train'; remove the key.")
    return file_name


def _remote(raw: Mapping[str, object], where: str) -> Remote | None:
    """Return where the entry lies on a hub, or None for a file; raises DataError for places that are not read."""
    if raw.get("script_url") is not None:
        raise DataError(
            f"{where}: script_url names a program of others, and TuiTune runs none to read data",
            "Run it yourself, save the rows as jsonl or parquet, and give that as file_name.",
        )
    if raw.get("cloud_file_name") is not None:
        raise DataError(
            f"{where}: cloud_file_name names a bucket of S3 or Google, which TuiTune has no access to",
            "Copy the file here with their own tool (aws s3 cp, gsutil cp), and give it as file_name.",
        )
    # Hugging Face first, as LLaMA-Factory does unless told otherwise.
    for key, service in _SERVICES.items():
        repo = raw.get(key)
        if repo is None:
            continue
        if not isinstance(repo, str) or not repo.strip():
            raise DataError(f"{where}: {key} is {describe(repo)}, not a name", "Write organisation/name.")
        texts = {key: _text(raw, key, where) for key in ("subset", "split", "folder")}
        return Remote(service, repo, texts["subset"], texts["split"] or "train", texts["folder"])
    return None


def _text(raw: Mapping[str, object], key: str, where: str) -> str | None:
    value = raw.get(key)
    if value is not None and (not isinstance(value, str) or not value):
        raise DataError(f"{where}: {key} is {describe(value) if value != '' else 'empty'}, not a name")
    return value


def _ranking(raw: Mapping[str, object], columns: Mapping[str, str] | None, where: str) -> bool:
    value = raw.get("ranking")
    if value is not None and not isinstance(value, bool):
        raise DataError(f"{where}: ranking is {describe(value)}", "Use true or false.")
    for key in PAIR if value else ():
        if columns is not None and key not in columns:
            raise DataError(
                f"{where}: ranking is true, and columns does not name {key}",
                "Name the columns of the better answer (chosen) and of the worse one (rejected).",
            )
    return bool(value)


def _section(raw: Mapping[str, object], key: str, known: tuple[str, ...], where: str) -> dict[str, str] | None:
    if key not in raw:
        return None
    section = raw[key]
    if not isinstance(section, dict):
        raise DataError(f"{where}: {key} is {describe(section)}, not an object")
    _known(section, known, f"{where}, {key}")
    found: dict[str, str] = {}
    for name, value in section.items():
        if value is None:
            continue
        if not isinstance(value, str) or not value:
            raise DataError(f"{where}, {key}: {name} is {describe(value) if value != '' else 'empty'}, not a name")
        found[name] = value
    return found


def _count(value: object, where: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise DataError(f"{where}: num_samples is {value!r}", "Give a whole number from 1, or remove the key.")
    return value


def _needed(entry: Entry, where: str) -> None:
    """Refuse an entry whose columns or tags leave out what its form cannot do without, whatever the stage."""
    alpaca = entry.formatting == "alpaca"
    # The answers of pairs may be whole conversations.
    columns = () if entry.pairs else ("prompt",) if alpaca else ("messages",)
    tags = () if alpaca else ("role_tag", "content_tag", "user_tag", "assistant_tag")
    for key, section, names in ((columns, "columns", entry.columns), (tags, "tags", entry.tags)):
        for name in key:
            if name not in names:
                raise DataError(
                    f"{where}: {section} does not name {name}, which {entry.formatting} data need",
                    f"With {section} given, every key that it leaves out counts as absent.",
                )
