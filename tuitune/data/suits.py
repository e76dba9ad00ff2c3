"""Whether the rows of a data set are what a stage learns from; asked once for the data set, not once for each row."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

from tuitune.data.entry import PAIR, Entry
from tuitune.data.files import RawRow
from tuitune.data.options import KINDS, Kind
from tuitune.errors import DataError
from tuitune.text import clean_line

WANTED: dict[Kind, str] = {
    "text": "plain text",
    "answer": "answers",
    "pair": "pairs: a better answer (chosen) and a worse one (rejected)",
    "label": "answers that are labelled good or bad",
    "prompt": "prompts",
}


def suited(entry: Entry, head: Iterable[RawRow], stage: str) -> tuple[Entry, str]:
    """Return a catalog's entry as `stage` reads it, with a note for the user or ""; raises DataError."""
    kind = KINDS[stage]
    seen = columns_of(head)
    if kind == "text":
        return _text(entry, seen, stage)
    if kind == "pair" and not entry.pairs:
        raise _unfit(entry, stage, "the catalog does not say that it has pairs", _pair_hint(seen))
    if kind == "label" and "kto_tag" not in entry.columns:
        raise _unfit(
            entry, stage, "the catalog names no column of labels", 'Name it: "columns": {..., "kto_tag": ...}.'
        )
    if kind == "answer":
        _only_answers(entry, seen, stage)
    if kind in ("answer", "label") and entry.formatting == "alpaca" and "response" not in entry.columns:
        raise _unfit(entry, stage, "columns does not name response, the column of the answers", _no_answer_hint(entry))
    for key in {"pair": PAIR, "label": ("kto_tag",)}.get(kind, ()):
        if seen and entry.columns[key] not in seen:
            raise _unfit(entry, stage, f"rows have no {entry.columns[key]!r}", f"They have: {listed(seen)}.")
    return entry, ""


def columns_of(rows: Iterable[RawRow]) -> dict[str, object]:
    """Return the columns of `rows` in order, each with its first value that says something."""
    seen: dict[str, object] = {}
    for row in rows:
        for key, value in row.value.items() if isinstance(row.value, dict) else ():
            if seen.get(key) in (None, "", []):
                seen[str(key)] = value
    return seen


def _only_answers(entry: Entry, seen: dict[str, object], stage: str) -> None:
    if entry.ranking or (entry.pairs and "response" not in entry.columns and entry.formatting == "alpaca"):
        hint = 'Use stage dpo, or an entry without ranking that names the better answers: "response": "chosen".'
        raise _unfit(entry, stage, "it has pairs of answers", hint)
    if "kto_tag" in entry.columns:
        hint = "Use stage kto, or an entry without kto_tag over a file of good answers only."
        raise _unfit(entry, stage, "its answers are labelled good or bad", hint)


def _text(entry: Entry, seen: dict[str, object], stage: str) -> tuple[Entry, str]:
    """Return the entry with its text as the prompt: what LLaMA-Factory learns in stage pt."""
    if entry.formatting != "alpaca" or entry.pairs or "kto_tag" in entry.columns:
        what = "pairs" if entry.pairs else "labelled answers" if "kto_tag" in entry.columns else "conversations"
        raise _unfit(
            entry, stage, f"it has {what}", "Use the stage that learns those, or a file with the column `text`."
        )
    columns = dict(entry.columns)
    if not entry.named_columns and columns["prompt"] not in seen and "text" in seen:
        return replace(entry, columns={"prompt": "text"}), ""
    if not entry.named_columns and columns["response"] in seen:
        hint = 'Name the column with the text: "columns": {"prompt": ...}; or use stage sft.'
        raise _unfit(entry, stage, f"its rows are questions and answers ({listed(seen)})", hint)
    kept: dict[str, str] = {key: columns[key] for key in ("prompt", "query") if key in columns}
    unread = [columns[key] for key in columns if key not in kept and columns[key] in seen]
    note = f"{entry.name}: stage {stage} learns {' and '.join(kept.values())} alone, not {', '.join(unread)}"
    return replace(entry, columns=kept), note if unread else ""


def _unfit(entry: Entry, stage: str, reason: str, hint: str) -> DataError:
    return DataError(f"data set {entry.name!r}: {reason}; stage {stage} learns from {WANTED[KINDS[stage]]}", hint)


def _pair_hint(seen: dict[str, object]) -> str:
    if all(column in seen for column in PAIR.values()):
        return 'The rows have chosen and rejected: add "ranking": true to the entry.'
    return f'Add "ranking": true and the columns chosen and rejected. The rows have: {listed(seen)}.'


def _no_answer_hint(entry: Entry) -> str:
    if len(entry.columns) == 1:
        return "Name it, or learn the text as it is with stage pt."
    return "With columns given, every key that it leaves out counts as absent."


def listed(seen: Iterable[str]) -> str:
    """Name the first columns."""
    return ", ".join(clean_line(name)[:40] for name in islice(seen, 12)) or "none"
