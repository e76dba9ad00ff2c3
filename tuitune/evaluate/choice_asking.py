"""Ask a model which letter comes next, for many questions at once; only the letters' logits are ever computed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from tuitune.evaluate.choice_prompts import Letters
from tuitune.evaluate.choice_rows import Question
from tuitune.models.flat import IGNORED
from tuitune.models.generate import in_evaluation

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tuitune.data.rows import Row
    from tuitune.evaluate.partners import Partner
    from tuitune.evaluate.scores import Around
    from tuitune.models.paths import Reading


@dataclass(frozen=True)
class Prompt:
    """A question as token ids; `shots` examples stand before it."""

    question: Question
    ids: list[int]
    shots: int


@dataclass(frozen=True)
class Answered:
    """A question and the probability of each of its letters, the letters alone counted."""

    question: Question
    shares: tuple[float, ...]

    @property
    def said(self) -> str:
        """The likeliest letter; the first of equal ones."""
        return self.question.letters[self.shares.index(max(self.shares))]

    @property
    def right(self) -> bool:
        """Whether it is the answer."""
        return self.said == self.question.answer


class Asker:
    """Lets one model read prompts, at most `most` of them at once."""

    def __init__(self, partner: Partner, around: Around, letters: Letters, most: int) -> None:
        self._partner, self._around, self._letters, self._most = partner, around, letters, most

    def ask(self, prompts: Sequence[Prompt]) -> Iterator[list[Answered]]:
        """Yield what the model answers, batch by batch, in the order of the prompts."""
        left = list(prompts)
        while left:
            self._around.check()
            done = self._around.surviving(lambda: self._first_of(left))
            del left[: len(done)]
            yield done

    def _first_of(self, prompts: Sequence[Prompt]) -> list[Answered]:
        """Answer as many of the first prompts as may go through the model at once."""
        rows, count = [self._row(prompt) for prompt in prompts[: self._most]], 1
        while count < len(rows) and self._tokens(rows[: count + 1]) <= self._around.tokens_per_batch():
            count += 1
        with torch.no_grad(), in_evaluation(self._partner.model):
            # One group: what the prompts begin with in common goes through the model once.
            reading = self._partner.path.read(self._partner.model, [rows[:count]])
            logits = letter_logits(reading, self._letters.ids)
        return [Answered(prompt.question, _shares(row, prompt)) for prompt, row in zip(prompts, logits, strict=False)]

    def _tokens(self, rows: Sequence[Row]) -> int:
        return self._partner.path.size([row["input_ids"] for row in rows], [row["labels"] for row in rows])

    def _row(self, prompt: Prompt) -> Row:
        # One label, behind the prompt: nothing but the prompt's last position goes through the head.
        behind = self._letters.ids[0]
        return {"input_ids": [*prompt.ids, behind], "labels": [IGNORED] * len(prompt.ids) + [behind]}


def letter_logits(reading: Reading, ids: Sequence[int]) -> Tensor:
    """Return the logits of tokens `ids` at each labelled position, (N, len(ids)), in float32 or better."""
    rows, head = reading.rows, reading.head.linear
    chosen = torch.tensor(ids, device=rows.device)
    exact = torch.promote_types(rows.dtype, torch.float32)
    if head is None:  # the model's own logits
        return rows.index_select(-1, chosen).to(exact)
    return _product(rows, head, chosen).to(exact)


def _product(rows: Tensor, head: nn.Linear, chosen: Tensor) -> Tensor:
    weight = head.weight.index_select(0, chosen)
    logits = rows.to(weight.dtype) @ weight.T
    bias: Tensor | None = head.bias
    return logits if bias is None else logits + bias.index_select(0, chosen)


def _shares(logits: Tensor, prompt: Prompt) -> tuple[float, ...]:
    return tuple(logits[: len(prompt.question.options)].softmax(-1).tolist())
