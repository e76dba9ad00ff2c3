"""The engine in this process: transformers' models, whose answers are written together, token by token."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tuitune.chat.weights import Weights
from tuitune.serve.limits import Limits
from tuitune.serve.order import Served, Ticket
from tuitune.serve.refusal import Refusal, invalid

if TYPE_CHECKING:
    from tuitune.chat.local import LocalChat, Note, Progress
    from tuitune.data.conversation import Message

_SHARE = 0.4  # of the free memory for keys and values, which are there twice while rows join or leave
_FEW = 4096  # tokens, where even that share holds less
_TOGETHER = 8  # texts that are scored between two tokens of the answers


class LocalEngine:
    """Models in memory, by name."""

    def __init__(self, partners: dict[str, LocalChat], limits: Limits, note: Note = lambda text: None) -> None:
        from tuitune.serve.desk import Desk
        from tuitune.serve.loop import Loop

        self._partners = partners
        writing = {name: each for name, each in partners.items() if each.judge is None}
        desks = {name: Desk(partner) for name, partner in writing.items()}
        for name, desk in desks.items():
            if desk.alone:
                note(f"{name} writes one answer after another: {desk.alone}")
        self.cache = limits.cache or _room(desks.values())
        self.models = {name: _served(name, each, self.cache) for name, each in partners.items()}
        self._loop = Loop(desks, limits, self.cache)
        self._loop.start()

    @classmethod
    def load(
        cls, wanted: Sequence[tuple[str, Weights]], limits: Limits, *, progress: Progress, note: Note
    ) -> LocalEngine:
        """Load the models, those of one base on one set of its weights. Raises ModelError or DataError."""
        from tuitune.chat.several import Several

        held = Several.load([weights for _, weights in wanted], progress=progress, note=note)
        return cls(dict(zip((name for name, _ in wanted), held.partners, strict=True)), limits, note)

    def submit(self, tickets: Sequence[Ticket]) -> None:
        """Take answers that are asked for together. Raises Refusal where there is no room."""
        from tuitune.serve.desk import Shared

        shared: dict[int, Shared] = {}
        for ticket in tickets:
            ticket.shared = shared.setdefault(id(ticket.order.prompt), Shared(0))
            ticket.shared.left += 1
        self._loop.submit(tickets)

    def waiting(self) -> tuple[int, int]:
        """Return how many answers are written and how many wait."""
        return self._loop.counts()

    async def close(self) -> None:
        """End everything; what is on its way is told so."""
        await asyncio.to_thread(self._loop.close)

    # -- scores --------------------------------------------------------------------------------------------------

    async def scores(self, model: str, texts: Sequence[str | Sequence[Message]], longest: int | None) -> list[float]:
        """Return what texts, or conversations that end with an answer, are worth to a reward model. Raises Refusal."""
        found: list[float] = []
        for start in range(0, len(texts), _TOGETHER):
            part = texts[start : start + _TOGETHER]
            found += await asyncio.wrap_future(self._loop.call(self._scoring(model, part, longest)))
        return found

    def _scoring(self, model: str, texts: Sequence[Any], longest: int | None) -> Callable[[], list[float]]:
        from tuitune.errors import DataError

        partner = self._partners[model]
        judge, context = partner.judge, partner.context
        assert judge is not None

        def work() -> list[float]:
            try:
                sequences = [_ids(partner, text, longest, context) for text in texts]
                with partner.using():
                    return judge.scorer.score_ids(sequences)
            except DataError as error:
                raise invalid(error.message, "messages") from error

        return work


def _ids(partner: LocalChat, text: str | Sequence[Message], longest: int | None, context: int | None) -> list[int]:
    """Return the tokens that are scored, cut to `longest` where the client says so. Raises Refusal or DataError."""
    if isinstance(text, str):
        ids: list[int] = partner.tokenizer(text, add_special_tokens=False)["input_ids"][:longest]
    else:
        assert partner.judge is not None
        [ids] = partner.judge.scorer.ids([text])
    if not ids:
        raise invalid("there is nothing to score in an empty text", "messages")
    if context is not None and len(ids) > context:
        raise Refusal(413, f"a text has {len(ids):,} tokens, and the model reads {context:,}: max_length cuts it",
                      param="messages", code="context_length_exceeded")  # fmt: skip
    return ids


def _served(name: str, partner: LocalChat, cache: int) -> Served:
    return Served(
        name=name, tokenizer=partner.tokenizer, template=partner.template,
        context=min(partner.context or cache, cache), options=dict(partner.options), created=int(time.time()),
        base=partner.model_id, title=partner.title, judges=partner.judge is not None, writes=partner.judge is None,
    )  # fmt: skip


def _room(desks: Any) -> int:
    """Return how many tokens' keys and values the free memory holds."""
    import psutil
    import torch

    size = max((desk.bytes_per_token for desk in desks), default=0)
    if not size:
        return 1 << 30
    on_gpu = any(desk.on_gpu for desk in desks)
    free = torch.cuda.mem_get_info()[0] if on_gpu else psutil.virtual_memory().available
    return max(_FEW, int(free * _SHARE / size))
