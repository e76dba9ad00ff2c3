"""What the routes ask of an engine, and what comes back; an engine knows tokens, nothing of HTTP."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from tuitune.serve.refusal import Refusal

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tuitune.data.conversation import Message
    from tuitune.data.templates import Template
    from tuitune.models.generate import Sampling
    from tuitune.serve.desk import Shared

Reason = Literal["stop", "length"]
State = Literal["waits", "reads", "writes", "done", "cancelled", "failed"]
_NUMBERS = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Token:
    """A token of an answer or of an echoed prompt, as `logprobs` tells of it.

    text: as it is inside a text. data: its bytes, which may be a part of a character. logprob: natural logarithm, None
    for the first of a prompt. top: the likeliest tokens there, as text, bytes and logarithm. start: where its text
    begins in the answer.
    """

    text: str
    data: bytes
    logprob: float | None
    top: tuple[tuple[str, bytes, float], ...] = ()
    start: int = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """What may be shown next of an answer, and the tokens whose text ends in it, where logprobs are asked for."""

    text: str
    tokens: tuple[Token, ...] = ()


@dataclass(frozen=True, slots=True)
class End:
    """How an answer ended: by itself or at a stop string, at the length asked for, or with an error."""

    reason: Reason = "stop"
    tokens: int = 0
    refusal: Refusal | None = None


@dataclass(eq=False)
class Order:
    """One answer that is asked for; `number` counts the orders of this process, `request` belongs together.

    prompt: token ids. sampling: with the longest answer, seed, stop strings and logprobs. client: who asks, for the
    order in which the waiting are served. stop_ids: tokens that end it. keep: special tokens that belong to the text,
    such as the marks of calls. echo: the prompt's tokens are told too, with their logprobs.
    """

    model: str
    prompt: Sequence[int]
    sampling: Sampling
    request: str
    client: str = ""
    stop_ids: tuple[int, ...] = ()
    keep: frozenset[int] = frozenset()
    echo: bool = False
    number: int = field(default_factory=lambda: next(_NUMBERS))

    @property
    def longest(self) -> int:
        """The most tokens that prompt and answer may come to."""
        return len(self.prompt) + self.sampling.max_new_tokens


@dataclass(eq=False)
class Ticket:
    """An answer on its way: the engine puts pieces in from its own thread, a task of the loop takes them out.

    number: which of the answers to one request. queue: where their pieces go. shared: what it has in common with other
    answers to the same prompt. `state`, `tokens` and `begun` (of `time.monotonic`) are for whoever watches.
    """

    order: Order
    number: int
    queue: asyncio.Queue[tuple[int, Piece | End]]
    loop: asyncio.AbstractEventLoop
    state: State = "waits"
    tokens: int = 0
    begun: float | None = None
    cancelled: bool = False
    shared: Shared | None = None
    wake: Callable[[], None] = lambda: None

    def write(self) -> None:
        """Take note that the answer begins."""
        self.state, self.begun = "writes", time.monotonic()

    def put(self, item: Piece | End) -> None:
        """Hand over what has been written; from any thread, also after the loop has ended."""
        if isinstance(item, End):
            self.tokens = item.tokens
            self.state = "failed" if item.refusal else "cancelled" if self.cancelled else "done"
        try:
            self.loop.call_soon_threadsafe(self.queue.put_nowait, (self.number, item))
        except RuntimeError:  # the loop is closed: nobody listens any more
            self.cancelled = True

    def cancel(self) -> None:
        """Want no more of it; the engine stops at the next token."""
        self.cancelled = True
        self.wake()


class Answers:
    """The answers to one request, as they come; to be made in a task of the loop."""

    def __init__(self, orders: Sequence[Order], seconds: float) -> None:
        loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[tuple[int, Piece | End]] = asyncio.Queue()
        self.tickets = [Ticket(order, number, self._queue, loop) for number, order in enumerate(orders)]
        self._seconds, self._deadline = seconds, loop.time() + seconds

    async def __aiter__(self) -> AsyncIterator[tuple[int, Piece | End]]:
        """Yield which answer, and what comes next of it, until all have ended. Raises Refusal where one failed."""
        left = len(self.tickets)
        while left:
            try:
                async with asyncio.timeout_at(self._deadline):
                    number, item = await self._queue.get()
            except TimeoutError:
                raise Refusal(504, f"the answer took longer than {self._seconds:g} s", code="timeout") from None
            if isinstance(item, End):
                if item.refusal is not None:
                    raise item.refusal
                left -= 1
            yield number, item

    def cancel(self) -> None:
        """Want no more of any."""
        for ticket in self.tickets:
            if ticket.state not in ("done", "failed"):
                ticket.cancel()


@dataclass(frozen=True)
class Served:
    """A model by the name under which clients ask for it.

    context: longest prompt with answer. options: the recipe's own sampling. created: seconds since 1970. judges:
    whether it scores; writes: whether it answers. base: the model below it; title: what it is, foreign text.
    """

    name: str
    tokenizer: PreTrainedTokenizerBase
    template: Template
    context: int | None
    options: dict[str, object]
    created: int
    base: str
    title: str
    judges: bool = False
    writes: bool = True


class Engine(Protocol):
    """Who writes the answers."""

    @property
    def models(self) -> dict[str, Served]:
        """The models by name."""
        ...

    def submit(self, tickets: Sequence[Ticket]) -> None:
        """Take answers that are asked for together. Raises Refusal where there is no room."""
        ...

    async def scores(self, model: str, texts: Sequence[str | Sequence[Message]], longest: int | None) -> list[float]:
        """Return what texts or conversations are worth to a reward model. Raises Refusal."""
        ...

    def waiting(self) -> tuple[int, int]:
        """Return how many answers are written and how many wait."""
        ...

    async def close(self) -> None:
        """End everything; what is on its way is told so."""
        ...
