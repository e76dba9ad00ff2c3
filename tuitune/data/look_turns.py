"""Whose turn a token belongs to, read off the tokens: every template writes it in marks, or the labels show it."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tuitune.data.look_pieces import Pieces

_ROLES = {
    name: name
    for name in ("system", "developer", "user", "human", "assistant", "model", "gpt", "bot", "tool", "tools",
                 "function", "observation", "ipython", "environment")
} | {
    "inst": "user", "system_prompt": "system", "available_tools": "tools", "tool_results": "tool",
    "tool_response": "tool",
}  # fmt: skip
_ANSWERS = ("assistant", "model", "gpt", "bot", "answer")
_NAME = 12  # tokens after a mark in which its role is named


@dataclass(frozen=True, slots=True)
class Turn:
    """Where a turn begins, and who has it: a role, or `prompt`, `answer` or `text` where no role is written."""

    start: int
    role: str


def turns(ids: NDArray[np.int32], labelled: NDArray[np.bool_], pieces: Pieces) -> list[Turn]:
    """Return the turns of a sequence, the first from token 0; both arrays have shape (tokens,)."""
    found = {turn.start: turn for turn in _named(ids, pieces)}
    starts = _answers(labelled)
    if not found:
        return _unnamed(starts, labelled)
    places = sorted(found)
    for start in starts:
        before = bisect_right(places, start) - 1
        if before < 0 or found[places[before]].role not in _ANSWERS:
            found.setdefault(start, Turn(start, "assistant"))
    first, *rest = (found[start] for start in sorted(found))
    return [Turn(0, first.role), *rest]


def _named(ids: NDArray[np.int32], pieces: Pieces) -> list[Turn]:
    """Return the turns that a mark opens: one that names a role, or is followed by the name of one."""
    places = np.flatnonzero(np.isin(ids, pieces.special))
    found = []
    for place, following in pairwise([*places.tolist(), len(ids)]):
        own = pieces.raw(int(ids[place])).decode("utf-8", "replace").strip("<|>[]｜▁_ ").lower()
        after = pieces.text(ids[place + 1 : min(following, place + 1 + _NAME)].tolist())
        role = _ROLES.get(own) or _ROLES.get(after.partition("\n")[0].strip().lower())
        if role is not None:
            found.append(Turn(place, role))
    return found


def _answers(labelled: NDArray[np.bool_]) -> list[int]:
    before = np.concatenate(([False], labelled[:-1]))
    return [int(place) for place in np.flatnonzero(labelled & ~before)]


def _unnamed(starts: list[int], labelled: NDArray[np.bool_]) -> list[Turn]:
    if not len(labelled) or bool(labelled.all()):
        return [Turn(0, "text")]
    after = np.flatnonzero(~labelled & np.concatenate(([True], labelled[:-1])))
    found = [Turn(start, "answer") for start in starts] + [Turn(int(start), "prompt") for start in after]
    return sorted(found, key=lambda turn: turn.start)
