"""Recognise the form of a data file that is named directly, by the columns of its rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NoReturn

from tuitune.data.catalog import CATALOG
from tuitune.data.convert.row import structure
from tuitune.data.entry import DEFAULT_TAGS, OPENAI_TAGS, PAIR, Entry
from tuitune.data.files import RawRow
from tuitune.data.options import KINDS, Kind
from tuitune.data.suits import WANTED, columns_of, listed
from tuitune.errors import DataError

Columns = dict[str, str]
# Prompt and answer under the names that people give them; those of one line belong together.
_TOGETHER = (
    ("instruction", "output"),
    ("prompt", "response"),
    ("prompt", "completion"),
    ("question", "answer"),
    ("question", "response"),
    ("query", "response"),
    ("query", "answer"),
    ("problem", "solution"),
    ("problem", "answer"),
)
_PROMPTS = ("instruction", "prompt", "question", "query", "problem")
_ANSWERS = ("output", "response", "completion", "answer", "solution")
_TALKS = ("messages", "conversations", "conversation")
_LABELS = ("label", "kto_tag", "desirable")
UNREAD = "Not read"  # marks the notes on columns that are left out
_MORE = ("history", "system", "tools", "images", "videos", "audios")
_USE: dict[Kind, str] = {
    "text": "Use the column text",
    "answer": "Use instruction and output, or messages",
    "pair": "Use prompt with chosen and rejected",
    "label": "Use prompt, completion and label",
    "prompt": "Use prompt, or messages",
}
_SAID = {
    "prompt": "the prompt",
    "query": "its second part",
    "response": "the answer",
    "messages": "the conversation",
    "chosen": "the better answer",
    "rejected": "the worse answer",
    "kto_tag": "the label",
    "history": "earlier turns",
    "system": "the system message",
    "tools": "the tools",
}


def guess(head: Sequence[RawRow], name: str, stage: str, place: str = "") -> tuple[Entry, str]:
    """Return an entry that fits the first rows, and a sentence that says which column is what.

    Raises DataError if the columns are of no known form, or could be meant in several ways.
    """
    kind = KINDS[stage]
    seen = columns_of(head)
    if not seen:  # nothing but bad rows: each will say what is wrong with it
        columns = {"prompt": "instruction", "response": "output", "kto_tag": "label"} | PAIR
        return _entry(
            name, columns if kind in ("pair", "label") else {"prompt": "instruction", "response": "output"}
        ), ""
    options = _OPTIONS[kind](seen)
    if not options:
        raise _unknown(seen, name, stage)
    if len(options) > 1:
        _ask(options, name, place)
    entry = _entry(name, _with_more(options[0], seen, kind), _talk_tags(options[0], seen))
    return entry, _sentence(entry, seen, kind)


def _entry(name: str, columns: Columns, tags: Mapping[str, str] | None = None) -> Entry:
    if tags is None:
        return Entry(name, name, "alpaca", columns, {})
    return Entry(name, name, "sharegpt" if tags is DEFAULT_TAGS else "openai", columns, tags)


def _only_answers(seen: dict[str, object]) -> list[Columns]:
    """Return none where answers are marked good or bad: the bad ones must not be learnt."""
    marked = any(isinstance(seen.get(column), bool) for column in _LABELS)
    return [] if marked else _answers(seen)


def _answers(seen: dict[str, object]) -> list[Columns]:
    options: list[Columns] = [{"messages": column} for column in _TALKS if _is_talk(seen.get(column))]
    pairs = [(prompt, answer) for prompt, answer in _TOGETHER if prompt in seen and answer in seen]
    prompts = [column for column in _PROMPTS if column in seen] or [c for c in ("input",) if c in seen]
    answers = [column for column in _ANSWERS if column in seen]
    if not pairs:
        pairs = [(prompt, answer) for prompt in prompts for answer in answers]
    return options + [{"prompt": prompt, "response": answer} for prompt, answer in pairs]


def _labelled(seen: dict[str, object]) -> list[Columns]:
    labels = [column for column in _LABELS if column in seen]
    return [option | {"kto_tag": column} for option in _answers(seen) for column in labels]


def _paired(seen: dict[str, object]) -> list[Columns]:
    if not all(column in seen for column in PAIR):
        return []
    if _is_talk(seen["chosen"]) and _opens(seen["chosen"]):
        return [dict(PAIR)]
    talks: list[Columns] = [{"messages": column} for column in _TALKS if _is_talk(seen.get(column))]
    return [option | PAIR for option in talks + [{"prompt": c} for c in _PROMPTS if c in seen]]


def _prompts(seen: dict[str, object]) -> list[Columns]:
    options: list[Columns] = [{"messages": column} for column in _TALKS if _is_talk(seen.get(column))]
    options += [{"prompt": column} for column in _PROMPTS if column in seen]
    if not options:
        return _paired(seen)
    answers = [column for column in _ANSWERS if column in seen]
    answer = "answer" if "answer" in answers else answers[0] if len(answers) == 1 else None
    return [option | {"response": answer} if answer and "prompt" in option else option for option in options]


def _texts(seen: dict[str, object]) -> list[Columns]:
    for column in ("text", "content"):
        if isinstance(seen.get(column), str):
            return [{"prompt": column}]
    if any(_is_talk(value) for value in seen.values()) or len(_answers(seen)) == 1:
        return []
    return [{"prompt": column} for column, value in seen.items() if isinstance(value, str)]


_OPTIONS = {"answer": _only_answers, "label": _labelled, "pair": _paired, "prompt": _prompts, "text": _texts}


def _with_more(option: Columns, seen: dict[str, object], kind: str) -> Columns:
    if kind == "text":
        return option
    more = {key: key for key in _MORE if key in seen}
    if option.get("prompt") == "instruction":
        for column in ("input", "context"):
            if column in seen:
                return option | {"query": column} | more
    return option | more


def _talk_tags(option: Columns, seen: dict[str, object]) -> Mapping[str, str] | None:
    if "messages" not in option:
        return None
    return DEFAULT_TAGS if "from" in _first(seen[option["messages"]]) else OPENAI_TAGS


def _is_talk(value: object) -> bool:
    first = _first(value)
    return "role" in first or "from" in first


def _opens(value: object) -> bool:
    """Return whether a list of messages is a whole conversation, not the answer alone."""
    return _first(value).get("role", _first(value).get("from")) not in ("assistant", "gpt")


def _first(value: object) -> Mapping[str, object]:
    value = structure(value)
    first = value[0] if isinstance(value, list) and value else None
    return first if isinstance(first, dict) else {}


def _sentence(entry: Entry, seen: dict[str, object], kind: str) -> str:
    if kind == "text":
        said = f"{entry.columns['prompt']} is the text"
    else:
        said = ", ".join(f"{column} is {_SAID.get(key, 'the ' + key)}" for key, column in entry.columns.items())
    unread = [column for column in seen if column not in entry.columns.values()]
    unread = [] if kind == "prompt" else unread  # reward functions see them
    more = f" {UNREAD}: {listed(unread)}{' and others' if len(unread) > 12 else ''}." if unread else ""
    return f"{entry.name}: {said}.{more}"


def _unknown(seen: dict[str, object], name: str, stage: str) -> DataError:
    kind, other = KINDS[stage], _other_kind(seen, KINDS[stage])
    if other is not None:
        stages = " or ".join(each for each, found in KINDS.items() if found == other)
        message = f"its rows hold {WANTED[other]} ({listed(seen)})"
        hint = f"Set stage: {stages}; or say in {CATALOG} which column is which."
    else:
        message = f"the columns {listed(seen)} are of no known format"
        hint = f"{_USE[kind]}; or say in {CATALOG} which column is which."
    if kind == "pair" and "chosen" not in seen:
        message = f"rows have no `chosen`: {message}"
    if kind == "label" and not any(column in seen for column in _LABELS):
        message = f"rows have no `label`: {message}"
    return DataError(f"{name}: {message}; stage {stage} learns from {WANTED[kind]}", hint)


def _other_kind(seen: dict[str, object], kind: Kind) -> Kind | None:
    """Return what rows with these columns are good for, if it is not `kind`."""
    kinds: tuple[Kind, ...] = ("pair", "label", "answer")
    found = next((each for each in kinds if each != kind and _OPTIONS[each](seen)), None)
    plain = kind != "text" and isinstance(seen.get("text"), str)
    return found or ("text" if plain else None)


def _ask(options: Sequence[Columns], name: str, place: str) -> NoReturn:
    choices = " or ".join(" with ".join(dict.fromkeys(option.values())) for option in options[:6])
    inside = ", ".join(f'"{key}": "{column}"' for key, column in options[0].items())
    talk = '"formatting": "sharegpt", ' if "messages" in options[0] else ""
    raise DataError(
        f"{name}: which of its columns are meant, {choices}?",
        f'Say it in {CATALOG}: {{"my_data": {{{place}, {talk}"columns": {{{inside}}}}}}}, and set dataset: my_data.',
    )
