"""The rewards that come with TuiTune; each returns a number for an answer, NaN where it has nothing to say."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from tuitune.stages.online.rewards.final import same

if TYPE_CHECKING:
    from tuitune.stages.online.answer import Answer

One = Callable[["Answer"], float]

_OPEN, _CLOSE = "<think>", "</think>"
_FENCED = re.compile(r"\A```(?:json)?[ \t]*\n(.*?)\n?```\Z", re.DOTALL)
_REPEATED = 4  # tokens


def exact(answer: Answer) -> float:
    """Return 1 if the final answer is the data's, else 0; NaN if the data has none (see `final.same`)."""
    expected = reference(answer.columns)
    return float(same(answer.text, expected)) if expected else math.nan


def reference(columns: Mapping[str, Any]) -> str:
    """Return what the data answers, or ""."""
    found = columns.get("answer", columns.get("output"))
    return "" if found is None else str(found).strip()


def thoughts_and_answer(answer: Answer) -> float:
    """Return 1 for thoughts in one pair of <think> and </think> and then an answer, else 0.

    A template may have opened the thoughts already, at the end of the prompt.
    """
    text = answer.text.strip()
    if answer.prompt.rstrip().endswith(_OPEN) and not text.startswith(_OPEN):
        text = _OPEN + text
    inside, closed, rest = text.removeprefix(_OPEN).partition(_CLOSE)
    whole = text.startswith(_OPEN) and bool(closed)
    once = _OPEN not in inside + rest and _CLOSE not in rest
    return float(whole and once and bool(inside.strip()) and bool(rest.strip()))


def length(wanted: int) -> One:
    """Return a reward for answers of `wanted` tokens: the shorter of both lengths by the longer, from 0 to 1.

    So it rises on the way from either side; the token that ends the answer is not counted.
    """

    def reward(answer: Answer) -> float:
        count = len(answer.ids) - int(answer.ended)
        return min(count, wanted) / max(count, wanted)

    return reward


def valid_json(answer: Answer) -> float:
    """Return 1 if the answer, after its thoughts and without a code fence, is one JSON object or list, else 0."""
    text = answer.text.rpartition(_CLOSE)[2].strip()
    fenced = _FENCED.match(text)
    try:
        found = json.loads(fenced.group(1) if fenced else text)
    except (ValueError, RecursionError):
        return 0.0
    return float(isinstance(found, dict | list))


def repetition(answer: Answer) -> float:
    """Return minus the share of runs of four tokens that stood in the answer before: 0 for none, near -1 for a loop."""
    ids = answer.ids
    runs = [tuple(ids[at : at + _REPEATED]) for at in range(len(ids) - _REPEATED + 1)]
    return len(set(runs)) / len(runs) - 1.0 if runs else 0.0
