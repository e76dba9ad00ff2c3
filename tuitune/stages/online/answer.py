"""One answer of the model in training to a prompt of the data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """prompt_ids and ids are tokens, prompt and text the same as words (text without control marks).

    ended: whether the model ended it by itself, its end token being the last of ids. columns: of the data's row;
    `answer` is what the data itself answers.
    """

    prompt_ids: Sequence[int]
    ids: Sequence[int]
    prompt: str
    text: str
    ended: bool
    columns: Mapping[str, Any] = field(default_factory=dict)


# What an answer is worth, one number for each; NaN: this reward says nothing about that answer.
Reward = Callable[[Sequence[Answer]], Sequence[float]]
