"""Turn one row of any supported form into what a stage learns from, or say why it cannot be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tuitune.data.conversation import Conversation, Document, Message, UnusableRow, describe, text_of
from tuitune.data.convert.answers import pair, whole
from tuitune.data.convert.media import Media
from tuitune.data.convert.row import Raw, column, label, optional_text, structure
from tuitune.data.convert.tools import tools_text
from tuitune.data.convert.turns import Turns, is_message, read_turns, tags_of
from tuitune.data.entry import Entry
from tuitune.data.files import BrokenLine
from tuitune.data.options import Kind

__all__ = ["Media", "convert"]

_NOWHERE = Media()


def convert(value: object, entry: Entry, kind: Kind = "answer", media: Media = _NOWHERE) -> Conversation | Document:
    """Return what one parsed row holds for a stage of `kind`; raises UnusableRow with the reason."""
    if isinstance(value, BrokenLine):
        raise UnusableRow(value.reason)
    if not isinstance(value, dict):
        raise UnusableRow(f"the row is {describe(value)}, not an object")
    if kind == "text":
        return Document(_prompt_text(value, entry.columns, "the text"))
    if kind == "pair":
        return _pair(value, entry, media)
    if kind == "prompt":
        return _prompt(value, entry, media)
    turns = _answered(value, entry)
    if kind == "label":
        name = entry.columns["kto_tag"]
        return _conversation(value, entry, turns, media, desirable=label(column(value, name), name))
    if not any(message.trained for message in turns.messages[1::2]):
        raise UnusableRow("every answer has weight 0: there is nothing to train on")
    return _conversation(value, entry, turns, media)


def _pair(row: Raw, entry: Entry, media: Media) -> Conversation:
    names = entry.columns["chosen"], entry.columns["rejected"]
    start = _start(row, entry)
    turns, rejected = pair(start, column(row, names[0]), column(row, names[1]), names, entry.tags)
    if start is not None:
        turns.files = start.files
    return _conversation(row, entry, turns, media, rejected=rejected)


def _prompt(row: Raw, entry: Entry, media: Media) -> Conversation:
    """Return the conversation up to where the model shall answer, and everything else the row says."""
    turns = _start(row, entry)
    named = entry.columns.get("response") or entry.columns.get("chosen")
    answer = None if named is None else row.get(named)
    if turns is None:
        assert named is not None  # `suited` has seen to it
        turns = whole(None, answer, named, entry.tags)
    elif named is not None and (is_message(answer) or _opens_with_message(answer)):
        answer = whole(turns, answer, named, entry.tags).messages[-1].content
    if turns.answered:
        answer = turns.messages.pop().content
    if not turns.messages:
        raise UnusableRow("there is an answer and no prompt")
    others = _others(row, entry.columns)
    if answer is not None:
        others["answer"] = answer
    return _conversation(row, entry, turns, media, columns=others)


def _answered(row: Raw, entry: Entry) -> Turns:
    """Return the turns up to and with the last answer."""
    start = _start(row, entry)
    assert start is not None  # only pairs may have none
    if entry.formatting == "alpaca":
        name = entry.columns["response"]
        turns = whole(start, column(row, name), name, entry.tags)
        turns.files = start.files
        return turns
    if not start.answered:
        spoken = row[entry.columns["messages"]]
        count = len(spoken) if isinstance(spoken, list) else len(start.messages)
        role = "tool" if start.messages[-1].role == "observation" else "user"
        raise UnusableRow(f"the last message, {count}, is from the {role}: there is no answer to train on")
    return start


def _start(row: Raw, entry: Entry) -> Turns | None:
    """Return the turns of the row's own messages, or its prompt after its history; None where it names neither."""
    columns = entry.columns
    if "messages" in columns and entry.formatting != "alpaca":
        name = columns["messages"]
        return read_turns(column(row, name), f"column {name!r}", entry.tags)
    if "prompt" not in columns:
        return None
    value = structure(column(row, columns["prompt"]))
    if isinstance(value, list) and _opens_with_message(value):
        spoken = tags_of(value[0], entry.tags)
        return read_turns(value, f"column {columns['prompt']!r}", spoken)
    prompt = Message("user", _prompt_text(row, columns, "the prompt"))
    return Turns([*_history(row, columns.get("history")), prompt])


def _opens_with_message(value: object) -> bool:
    return isinstance(value, list) and bool(value) and is_message(value[0])


def _prompt_text(row: Raw, columns: Mapping[str, str], what: str) -> str:
    """Return the prompt and, below it, the query."""
    parts = [(columns["prompt"], column(row, columns["prompt"]))]
    if "query" in columns:
        parts.append((columns["query"], row.get(columns["query"])))
    texts = []
    for name, part in parts:
        if part is not None and not isinstance(part, str):
            raise UnusableRow(f"column {name!r} is {describe(part)}, not text")
        if part:
            texts.append(part)
    return text_of("\n".join(texts), what)


def _history(row: Raw, name: str | None) -> list[Message]:
    value = None if name is None else structure(row.get(name))
    if value is None or value == "":
        return []
    if not isinstance(value, list):
        raise UnusableRow(f"column {name!r} is {describe(value)}, not a list of [question, answer] pairs")
    messages: list[Message] = []
    for number, two in enumerate(value, 1):
        if not isinstance(two, list) or len(two) != 2:
            raise UnusableRow(f"pair {number} of {name!r} is not [question, answer]")
        messages.append(Message("user", text_of(two[0], f"the question of pair {number} of {name!r}")))
        messages.append(Message("assistant", text_of(two[1], f"the answer of pair {number} of {name!r}")))
    return messages


def _conversation(row: Raw, entry: Entry, turns: Turns, media: Media, **more: Any) -> Conversation:
    columns = entry.columns
    messages = tuple(turns.messages)
    files: dict[str, Any] = dict(media.files(row, columns, messages, turns.files))
    return Conversation(
        messages,
        turns.system or optional_text(row, columns.get("system")) or None,
        tools_text(row, columns.get("tools")),
        **files,
        **more,
    )


def _others(row: Raw, columns: Mapping[str, str]) -> dict[str, Any]:
    """Return the columns that are no part of the prompt, as they are."""
    parts = ("prompt", "query", "history", "messages", "system", "tools", "images", "videos", "audios")
    used = {columns[key] for key in parts if key in columns}
    return {key: value for key, value in row.items() if key not in used and not isinstance(value, bytes)}
