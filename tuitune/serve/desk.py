"""Answers to one model while they are written: prompts that are read, and the batch of rows.

A model whose answers cannot be written together gives one after another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tuitune.models.oom import is_out_of_memory
from tuitune.serve.order import End, Piece, Ticket
from tuitune.serve.reading import Forward, Reading
from tuitune.serve.refusal import Refusal
from tuitune.serve.rows import Batch, Row
from tuitune.serve.spelling import Spelling
from tuitune.serve.together import bytes_per_token, why_alone

if TYPE_CHECKING:
    from tuitune.chat.local import LocalChat
    from tuitune.models import generate

_AT_ONCE = 512  # tokens of prompts between two steps: running answers wait for no more than these
_LEAST = 64  # tokens that a short prompt counts for: a forward has a price of its own


@dataclass(eq=False)
class Shared:
    """A prompt with several answers, which is read once; `left` of them have not begun."""

    left: int
    reading: Reading | None = None

    def taken(self) -> Reading:
        """Return what has been read, for one more answer."""
        assert self.reading is not None
        self.left -= 1
        return self.reading.copied() if self.left > 0 else self.reading


class Desk:
    """One model at work; every method but `busy` and `rows` belongs to the engine's thread."""

    def __init__(self, partner: LocalChat) -> None:
        self.partner = partner
        with partner.using() as model:
            self._forward = Forward(model)
            self.alone = why_alone(model, self._forward)
            self.bytes_per_token = 0 if self.alone else bytes_per_token(model, self._forward)
        self._stop_ids = partner.template.stop_ids(partner.tokenizer)
        self._batch = Batch(self._forward)
        self._read: list[Ticket] = []

    @property
    def rows(self) -> int:
        """How many answers are written or have their prompt read."""
        return len({*self._read, *(row.ticket for row in self._batch.rows)})  # one that begins is in both

    @property
    def on_gpu(self) -> bool:
        """Whether the model is on a GPU."""
        return self._forward.device.type == "cuda"

    def widest(self, ticket: Ticket | None = None) -> int:
        """Return the most columns that a row may come to, with that of one more ticket."""
        tickets = [*self._read, *([ticket] if ticket else [])]
        return max(self._batch.widest(), max((each.order.longest for each in tickets), default=0))

    def take(self, ticket: Ticket) -> None:
        """Begin an answer."""
        ticket.state = "reads"
        self._read.append(ticket)

    def work(self) -> None:
        """Read a part of what is to be read, and write one token of every row."""
        try:
            if self.alone:
                self._one_after_another()
            elif self.rows:
                with self.partner.using() as model:
                    self._read_on(model)
                    self._batch.step(model)
        except Exception as error:
            self.fail(_failure(error))
            if not isinstance(error, Refusal):
                raise

    def fail(self, refusal: Refusal) -> None:
        """End every answer with a word why."""
        tickets = [*self._read, *(row.ticket for row in self._batch.clear())]
        self._read = []
        for ticket in tickets:
            ticket.put(End(tokens=ticket.tokens, refusal=refusal))

    # -- together ------------------------------------------------------------------------------------------------

    def _read_on(self, model: Any) -> None:
        room = _AT_ONCE if self._batch.rows else 4 * _AT_ONCE
        while self._read and room > 0:
            ticket = self._read[0]
            if ticket.cancelled:
                ticket.put(End())
                self._read.pop(0)
                continue
            reading = self._reading(ticket)
            if not reading.done:
                room -= max(_LEAST, reading.read(self._forward, model, _AT_ONCE))
            if reading.done:
                self._begin(ticket)
                self._read.pop(0)  # only now: whoever asks meanwhile shall not find a place free, nor a fault lose it

    def _reading(self, ticket: Ticket) -> Reading:
        order = ticket.order
        ticket.shared = ticket.shared or Shared(1)
        if ticket.shared.reading is None:
            count = order.sampling.logprobs if order.echo else None
            ticket.shared.reading = Reading(order.prompt, count=count)
        return ticket.shared.reading

    def _begin(self, ticket: Ticket) -> None:
        assert ticket.shared is not None
        reading, ticket.shared = ticket.shared.taken(), None
        row = Row(ticket, self.partner.tokenizer, self._stop_ids, self._forward.device)
        ticket.write()
        if ticket.order.echo:
            row.echo(reading)
        if ticket.order.sampling.max_new_tokens:
            self._batch.join(row, reading)
        else:
            ticket.put(End("length"))

    # -- one after another ---------------------------------------------------------------------------------------

    def _one_after_another(self) -> None:
        while self._read:
            ticket = self._read.pop(0)
            if ticket.cancelled:
                ticket.put(End())
                continue
            ticket.write()
            self._alone(ticket)

    def _alone(self, ticket: Ticket) -> None:
        order, spelling = ticket.order, Spelling(self.partner.tokenizer)
        if order.echo:
            raise Refusal(422, f"{order.model} cannot echo: {self.alone}", param="echo")
        start = 0

        def pass_on(piece: generate.Piece) -> None:
            nonlocal start
            told = []
            for drawn in piece.drawn:
                told.append(spelling.token(drawn.id, drawn.logprob, drawn.top, start=start))
                start += len(drawn.text)
            ticket.tokens += 1
            ticket.put(Piece(piece.text, tuple(told)))

        try:
            done = self.partner.generate(
                order.prompt, order.sampling, on_piece=pass_on, stop=lambda: ticket.cancelled, tools=bool(order.keep)
            )  # fmt: skip
        except Exception as error:
            ticket.put(End(tokens=ticket.tokens, refusal=_failure(error)))
            raise
        ticket.put(End("length" if done.reason == "length" else "stop", done.tokens))


def _failure(error: BaseException) -> Refusal:
    if isinstance(error, Refusal):
        return error
    if is_out_of_memory(error):
        return Refusal(503, "the memory of the device ran out: ask for shorter answers, or for fewer at once")
    return Refusal(500, f"the model failed ({type(error).__name__}); the server's log has the whole story")
