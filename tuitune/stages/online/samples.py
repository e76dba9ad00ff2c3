"""A few of the answers that are learned from, for the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tuitune.data.kinds import MESSAGES
from tuitune.run.events import Sampled

if TYPE_CHECKING:
    from tuitune.stages.base import Surroundings
    from tuitune.stages.online.answer import Answer

_LONGEST = 4000  # characters of a text in the journal


def show(
    around: Surroundings,
    step: int,
    answers: Sequence[Answer],
    totals: Sequence[float],
    parts: Mapping[str, Sequence[float]],
    count: int = 1,
    most: int = 3,
) -> None:
    """Write the first `most` prompts of a step with their `count` answers and what those are worth to the journal."""
    for start in range(0, min(len(answers), most * count), count):
        some = range(start, start + count)
        first = answers[start]
        around.emit(
            Sampled(
                step, clipped(asked(first)), [clipped(answers[i].text) for i in some], [totals[i] for i in some],
                {name: [numbers[i] for i in some] for name, numbers in parts.items()},
                clipped(str(first.columns.get("answer") or "")),
            )
        )  # fmt: skip


def asked(answer: Answer) -> str:
    """Return the last message of the prompt, or all of it where the data keeps no messages."""
    messages = answer.columns.get(MESSAGES)
    return str(messages[-1]["content"]) if messages else answer.prompt


def clipped(text: str) -> str:
    """Return a text as it is kept in the journal."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
