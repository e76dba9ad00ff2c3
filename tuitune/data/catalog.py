"""`dataset_info.json` in LLaMA-Factory's schema: what each data set is called and how its columns are named."""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tuitune.data.conversation import describe
from tuitune.data.files import decoded, read_bytes
from tuitune.errors import DataError

CATALOG = "dataset_info.json"
Formatting = Literal["alpaca", "sharegpt", "openai"]

_FORMATS: tuple[Formatting, ...] = ("alpaca", "sharegpt", "openai")
_HUB_KEYS = ("hf_hub_url", "ms_hub_url", "om_hub_url", "script_url", "cloud_file_name")
_KEYS = (
    *_HUB_KEYS,
    "file_name",
    "formatting",
    "ranking",
    "subset",
    "split",
    "folder",
    "num_samples",
    "columns",
    "tags",
)
_TEXT_COLUMNS = ("prompt", "query", "response", "history", "messages", "system")
_LATER_COLUMNS = {
    "tools": "tool calls",
    "images": "images",
    "videos": "videos",
    "audios": "audio",
    "chosen": "preference pairs",
    "rejected": "preference pairs",
    "kto_tag": "KTO labels",
}
_TAGS = ("role_tag", "content_tag", "user_tag", "assistant_tag", "observation_tag", "function_tag", "system_tag")
_DEFAULT_COLUMNS = {"prompt": "instruction", "query": "input", "response": "output", "messages": "conversations"}
DEFAULT_TAGS = {
    "role_tag": "from",
    "content_tag": "value",
    "user_tag": "human",
    "assistant_tag": "gpt",
    "observation_tag": "observation",
    "function_tag": "function_call",
    "system_tag": "system",
}
OPENAI_TAGS = {
    "role_tag": "role",
    "content_tag": "content",
    "user_tag": "user",
    "assistant_tag": "assistant",
    "observation_tag": "tool",
    "function_tag": "function",
    "system_tag": "system",
}


@dataclass(frozen=True)
class Entry:
    """One data set of the catalog; a column or tag that is absent is not read."""

    name: str
    file_name: str
    formatting: Formatting
    columns: Mapping[str, str]
    tags: Mapping[str, str]
    num_samples: int | None = None
    named_columns: bool = False


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
    _refuse_later(raw, where)
    file_name = raw.get("file_name")
    if not isinstance(file_name, str) or not file_name.strip():
        raise DataError(f"{where} has no file_name", "Give the name of its .json or .jsonl file.")
    formatting = raw.get("formatting", "alpaca")
    if formatting not in _FORMATS:
        raise DataError(f"{where}: formatting is {formatting!r}", f"Use one of {', '.join(_FORMATS)}.")
    # LLaMA-Factory's rule: once `columns` or `tags` is there, whatever it does not list is not read.
    columns = _section(raw, "columns", (*_TEXT_COLUMNS, *_LATER_COLUMNS), where)
    for key in columns or {}:
        if key in _LATER_COLUMNS:
            raise DataError(f"{where} has a column for {key}: {_LATER_COLUMNS[key]} are not supported yet")
    tags = _section(raw, "tags", _TAGS, where)
    openai = formatting == "openai"
    defaults = {"messages": "messages"} if openai else _DEFAULT_COLUMNS
    entry = Entry(
        name=name,
        file_name=file_name,
        formatting=formatting,
        columns=defaults if columns is None else columns,
        tags=(OPENAI_TAGS if openai else DEFAULT_TAGS) if tags is None else tags,
        num_samples=_count(raw.get("num_samples"), where),
        named_columns=columns is not None,
    )
    _needed(entry, where)
    return entry


def _known(raw: Mapping[str, object], keys: tuple[str, ...], where: str) -> None:
    for key in raw:
        if key not in keys:
            near = difflib.get_close_matches(key, keys, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"Known are {', '.join(keys)}."
            raise DataError(f"{where}: unknown key {key!r}", hint)


def _refuse_later(raw: Mapping[str, object], where: str) -> None:
    for key in _HUB_KEYS:
        if raw.get(key) is not None:
            raise DataError(f"{where}: {key} is not supported yet", "Download the file and give it as file_name.")
    if raw.get("ranking") not in (None, False):
        raise DataError(f"{where}: ranking (preference pairs) is not supported yet")
    for key in ("subset", "folder"):
        if raw.get(key) is not None:
            raise DataError(f"{where}: {key} belongs to data sets of a hub, which are not supported yet")
    if raw.get("split", "train") != "train":
        raise DataError(f"{where}: split is {raw['split']!r}", "A file has only the split 'train'; remove the key.")


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
    """Refuse an entry whose columns or tags leave out what its format cannot do without."""
    columns = ("prompt", "response") if entry.formatting == "alpaca" else ("messages",)
    tags = () if entry.formatting == "alpaca" else ("role_tag", "content_tag", "user_tag", "assistant_tag")
    for key, section, names in ((columns, "columns", entry.columns), (tags, "tags", entry.tags)):
        for name in key:
            if name not in names:
                raise DataError(
                    f"{where}: {section} does not name {name}, which {entry.formatting} data need",
                    f"With {section} given, every key that it leaves out counts as absent.",
                )
