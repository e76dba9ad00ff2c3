"""One answer while it is written: its random numbers, its text, its end; and the batch that it is written in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from tuitune.models.drawing import Drawing
from tuitune.models.streamed import Place, Streamer
from tuitune.serve.columns import Columns
from tuitune.serve.order import End, Piece, Ticket, Token
from tuitune.serve.reading import Forward, Reading
from tuitune.serve.spelling import Spelling

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase


class Row:
    """An answer that is written; every token that is chosen goes to its ticket as text."""

    def __init__(
        self, ticket: Ticket, tokenizer: PreTrainedTokenizerBase, stop_ids: Sequence[int], device: torch.device
    ) -> None:
        self.ticket = ticket
        order = ticket.order
        self._drawing = Drawing(order.sampling, device)
        self._streamer = Streamer(
            tokenizer, self._show, ends=stop_ids, stop=order.sampling.stop,
            marks=not order.sampling.skip_special_tokens, keep=order.keep,
        )  # fmt: skip
        self._spelling = Spelling(tokenizer)
        self._stop = frozenset(stop_ids)
        self._ids = torch.tensor([list(order.prompt)], device=device)
        self._streamer.put(self._ids)  # the first call carries the prompt
        self._before = 0  # characters that are told before the answer
        self.over = False

    @property
    def tokens(self) -> int:
        """How many tokens the answer has."""
        return len(self._streamer.ids)

    @property
    def last(self) -> int:
        """The newest token, which the model has not read."""
        return self._streamer.ids[-1]

    def draw(self, logits: Tensor) -> None:
        """Choose the next token by logits (1, V), tell what it adds, and see whether the answer ends with it."""
        token = self._drawing.draw(self._ids, logits.float())  # as `generate` does
        self._ids = torch.cat([self._ids, token], 1)
        self._streamer.put(token)
        self.ticket.tokens = self.tokens
        if int(token) in self._stop or self._streamer.stopped_by is not None:
            self._end("stop")
        elif self.tokens >= self.ticket.order.sampling.max_new_tokens:
            self._end("length")

    def echo(self, reading: Reading) -> None:
        """Tell the prompt."""
        order = self.ticket.order
        text, tokens = self._spelling.prompt(order.prompt, reading.told)
        self._before = len(text)
        self.ticket.put(Piece(text, tokens if order.sampling.logprobs is not None else ()))

    def _end(self, reason: Any) -> None:
        self._streamer.end()
        self.over = True
        self.ticket.put(End(reason, self.tokens))

    def _show(self, new: str, places: Sequence[Place]) -> None:
        wanted = self.ticket.order.sampling.logprobs is not None
        told = tuple(self._token(place) for place in places) if wanted else ()
        if new or told:
            self.ticket.put(Piece(new, told))

    def _token(self, place: Place) -> Token:
        likely = self._drawing.likely[place.index]
        return self._spelling.token(place.id, *likely, start=self._before + place.start)


class Batch:
    """The rows of one model that are written together."""

    def __init__(self, forward: Forward) -> None:
        self.rows: list[Row] = []
        self._forward, self._columns = forward, Columns()
        self._joining: list[tuple[Row, Columns]] = []

    def join(self, row: Row, reading: Reading) -> None:
        """Write the first token of an answer, and keep it for those that follow."""
        assert reading.logits is not None
        row.draw(reading.logits)
        if not row.over:
            self._joining.append((row, reading.columns))
            self.rows.append(row)

    def step(self, model: Any) -> None:
        """Write one token more of every row; those that are over or not wanted any more leave."""
        self._settle()
        if not self.rows:
            return
        ids = torch.tensor([[row.last] for row in self.rows], device=self._forward.device)
        logits = self._forward(model, ids, self._columns)
        for number, row in enumerate(self.rows):
            row.draw(logits[number : number + 1])

    def _settle(self) -> None:
        """Let rows leave and join in one rearrangement."""
        old = self.rows[: len(self.rows) - len(self._joining)]
        staying = [number for number, row in enumerate(old) if not _gone(row)]
        joining = [(row, columns) for row, columns in self._joining if not _gone(row)]
        self._joining = []
        if len(staying) < len(old) or joining:
            self._columns.keep(staying, [columns for _, columns in joining])
        self.rows = [*(old[number] for number in staying), *(row for row, _ in joining)]

    def widest(self) -> int:
        """Return the most columns that a row may come to."""
        return max((row.ticket.order.longest for row in self.rows), default=0)

    def clear(self) -> list[Row]:
        """Forget every row, and return those that were not over."""
        rows, self.rows, self._joining = self.rows, [], []
        self._columns = Columns()
        return [row for row in rows if not row.over]


def _gone(row: Row) -> bool:
    if row.ticket.cancelled and not row.over:
        row.over = True
        row.ticket.put(End("stop", row.tokens))
    return row.over
