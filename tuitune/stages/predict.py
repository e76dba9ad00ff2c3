"""What the model answers to held-out prompts, beside what the data answers: `predict_with_generate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from tuitune.data.rows import IGNORED
from tuitune.run.events import Sampled
from tuitune.run.files import write_atomic
from tuitune.stages.likeness import likeness, missing
from tuitune.stages.online.rollout import likeliest
from tuitune.stages.online.samples import clipped

if TYPE_CHECKING:
    from tuitune.data import Examples, Row
    from tuitune.stages.base import Surroundings

_SHOWN = 3


@dataclass(frozen=True)
class Asked:
    """A held-out prompt and the data's answer, as tokens."""

    prompt: list[int]
    answer: list[int]


class Predictions:
    """Lets the weights in training answer the held-out prompts, greedily, and compares."""

    def __init__(self, around: Surroundings, held_out: Examples) -> None:
        self._around = around
        rows = [row for example in held_out for row in example.sequences]
        self._asked = [asked for row in rows if (asked := last_answer(row)) is not None]
        if len(self._asked) < len(rows):
            around.warn(
                f"{len(rows) - len(self._asked)} held-out rows have no prompt before their answer; not answered"
            )
        for words in missing():
            around.warn(words, "pip install 'tuitune[metrics]'")

    def measure(self) -> dict[str, float]:
        """Write `predictions-<step>.jsonl` into the run and return how like the data's answers they are."""
        if not self._asked:
            return {}
        around, step = self._around, self._around.step()
        ids = likeliest(around, [asked.prompt for asked in self._asked])
        prompts = self._texts([asked.prompt for asked in self._asked])
        said, wanted = self._texts(ids), self._texts([asked.answer for asked in self._asked])
        lines = [
            orjson.dumps(
                {"prompt": prompt, "prediction": text, "reference": reference}, option=orjson.OPT_APPEND_NEWLINE
            )
            for prompt, text, reference in zip(prompts, said, wanted, strict=True)
        ]
        write_atomic(around.folder / f"predictions-{step}.jsonl", b"".join(lines))
        for prompt, text, reference in list(zip(prompts, said, wanted, strict=True))[:_SHOWN]:
            around.emit(Sampled(step, clipped(prompt), [clipped(text)], reference=clipped(reference)))
        return likeness(said, wanted)

    def _texts(self, rows: Sequence[Sequence[int]]) -> list[str]:
        decode = self._around.tokenizer.decode
        texts = [str(decode(list(row), skip_special_tokens=True, clean_up_tokenization_spaces=False)) for row in rows]
        # A lone surrogate cannot be written as JSON.
        return [text.encode("utf-8", "replace").decode() for text in texts]


def last_answer(row: Row) -> Asked | None:
    """Return the last labelled stretch of a row and what stands before it; None where one of the two is missing."""
    labels = row["labels"]
    end = next((t + 1 for t in range(len(labels) - 1, -1, -1) if labels[t] != IGNORED), 0)
    start = next((t + 1 for t in range(end - 1, -1, -1) if labels[t] == IGNORED), 0)
    return Asked(row["input_ids"][:start], row["input_ids"][start:end]) if 0 < start < end else None
