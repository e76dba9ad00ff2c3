"""An engine in another process, asked through its own OpenAI-style interface for the tokens after a prompt.

Prompts are made here, in the template of the training, and go over as token ids: their server's own template, which
need not be that one, is never used.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import httpx
import orjson

from tuitune.serve.limits import Limits
from tuitune.serve.order import End, Order, Piece, Reason, Served, Ticket, Token
from tuitune.serve.refusal import Refusal
from tuitune.serve.waiting import Waiting
from tuitune.text import clean_line

if TYPE_CHECKING:
    from tuitune.data.conversation import Message

_CONNECT = 10.0  # seconds


class RemoteEngine:
    """Models of another server. called: their name of each; closed: ends that server."""

    def __init__(
        self, models: dict[str, Served], called: Mapping[str, str], url: str, key: str, limits: Limits,
        closed: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        self.models, self._called, self._limits, self._closed = models, called, limits, closed
        self._waiting, self._tasks = Waiting(), dict[asyncio.Task[None], Ticket]()
        self._ends = False
        self._http = httpx.AsyncClient(
            base_url=url, headers={"Authorization": f"Bearer {key}"}, trust_env=False,
            timeout=httpx.Timeout(limits.seconds, connect=_CONNECT),
            limits=httpx.Limits(max_connections=limits.rows + 4),
        )  # fmt: skip

    def submit(self, tickets: Sequence[Ticket]) -> None:
        """Take answers that are asked for together. Raises Refusal where there is no room."""
        if self._ends:
            raise Refusal(503, "the server is being stopped", code="stopping")
        free = self._limits.rows - len(self._tasks)
        if len(self._waiting) + len(tickets) > self._limits.queue + free:
            raise Refusal(429, f"{len(self._waiting)} answers wait already: try again later", code="queue_full")
        for ticket in tickets:
            ticket.wake = lambda ticket=ticket: self._leave(ticket)  # type: ignore[misc]
            self._waiting.add(ticket)
        self._let_in()

    def waiting(self) -> tuple[int, int]:
        """Return how many answers are written and how many wait."""
        return len(self._tasks), len(self._waiting)

    async def scores(self, model: str, texts: Sequence[str | Sequence[Message]], longest: int | None) -> list[float]:
        """Refuse: such a server has no reward models."""
        raise Refusal(422, "reward models are served with infer_backend: huggingface", param="model")

    async def close(self) -> None:
        """End everything; what is on its way is told so."""
        self._ends = True
        for ticket in self._waiting.drop(lambda each: True):
            ticket.put(End(refusal=Refusal(503, "the server is being stopped", code="stopping")))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.aclose()
        await asyncio.to_thread(self._closed)

    # -- one answer ----------------------------------------------------------------------------------------------

    def _let_in(self) -> None:
        while not self._ends and len(self._tasks) < self._limits.rows:
            ticket = self._waiting.next(lambda each: True)
            if ticket is None:
                return
            task = asyncio.create_task(self._answer(ticket))
            self._tasks[task] = ticket
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        self._let_in()

    def _leave(self, ticket: Ticket) -> None:
        """Stop an answer that nobody wants: closing the connection has their server stop too."""
        if self._waiting.drop(lambda each: each is ticket):
            ticket.put(End())
        for task, each in self._tasks.items():
            if each is ticket:
                task.cancel()

    async def _answer(self, ticket: Ticket) -> None:
        ticket.write()
        refusal: Refusal | None = Refusal(503, "the server is being stopped", code="stopping")
        reason: Reason = "stop"
        tokens = 0
        try:
            async for item in self._pieces(ticket.order):
                if isinstance(item, End):
                    reason, tokens = item.reason, item.tokens
                else:
                    ticket.tokens += 1
                    ticket.put(item)
            refusal = None
        except Refusal as told:
            refusal = told
        except (httpx.HTTPError, httpx.StreamError) as error:
            refusal = Refusal(502, f"the engine does not answer ({type(error).__name__}); its log may say why")
        except (ValueError, LookupError, TypeError, AttributeError):
            refusal = Refusal(502, "the engine's answer cannot be read")
        finally:
            ticket.put(End(reason, tokens or ticket.tokens, None if ticket.cancelled else refusal))

    async def _pieces(self, order: Order) -> AsyncIterator[Piece | End]:
        async with self._http.stream(
            "POST", "/v1/completions", json=body_of(order, self._called[order.model])
        ) as answer:
            if answer.status_code != 200:
                raise await _refused(answer)
            reason: Reason = "stop"
            tokens = 0
            async for told in _events(answer):
                if error := told.get("error"):
                    raise Refusal(502, f"the engine failed: {_words(error)}")
                tokens = (told.get("usage") or {}).get("completion_tokens", tokens)
                for choice in told.get("choices") or []:
                    if (choice.get("text") or choice.get("logprobs")) and (piece := piece_of(choice)):
                        yield piece
                    ended = choice.get("finish_reason")
                    if ended in ("abort", "error"):  # such as vLLM's that shuts down: what came is no whole answer
                        raise Refusal(502, "the engine broke off in the middle of its answer")
                    reason = "length" if ended == "length" else reason
            yield End(reason, tokens)


def body_of(order: Order, model: str) -> dict[str, Any]:
    """Return what vLLM and SGLang are asked."""
    drawn = order.sampling
    greedy = not (drawn.do_sample and drawn.temperature > 0)
    body: dict[str, Any] = {
        "model": model, "prompt": list(order.prompt), "max_tokens": drawn.max_new_tokens, "echo": order.echo,
        "temperature": 0.0 if greedy else drawn.temperature, "top_p": 1.0 if greedy else drawn.top_p,
        "top_k": -1 if greedy or not drawn.top_k else drawn.top_k, "repetition_penalty": drawn.repetition_penalty,
        "stop_token_ids": list(order.stop_ids), "stream": True, "stream_options": {"include_usage": True},
        "skip_special_tokens": drawn.skip_special_tokens and not order.keep,
    }  # fmt: skip
    if drawn.stop:
        body["stop"] = list(drawn.stop)
    if drawn.seed is not None:
        body["seed"] = drawn.seed
    if drawn.logprobs is not None:
        body["logprobs"] = drawn.logprobs
    return body


def piece_of(choice: Mapping[str, Any]) -> Piece | None:
    """Return a part of their stream as a piece of an answer."""
    text, told = str(choice.get("text") or ""), choice.get("logprobs") or {}
    names = told.get("tokens") or []
    values, tops = told.get("token_logprobs") or [], told.get("top_logprobs") or [None] * len(names)
    places = told.get("text_offset") or [0] * len(names)
    tokens = tuple(_token(*each) for each in zip(names, values, tops, places, strict=True))
    return Piece(text, tokens) if text or tokens else None


def _token(name: object, value: float | None, top: Mapping[str, float] | None, start: int) -> Token:
    likely = tuple((str(word), _bytes(word), float(much)) for word, much in (top or {}).items())
    return Token(str(name), _bytes(name), None if value is None else float(value), likely, int(start))


def _bytes(name: object) -> bytes:
    return str(name).encode("utf-8", "replace")


async def _events(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    async for line in answer.aiter_lines():
        if line.startswith("data:") and (data := line[5:].strip()) != "[DONE]":
            yield orjson.loads(data)


async def _refused(answer: httpx.Response) -> Refusal:
    """Return why their server would not answer: a client's fault stays one, everything else is the engine's."""
    words = ""
    with contextlib.suppress(httpx.HTTPError, ValueError, AttributeError):
        told = orjson.loads((await answer.aread())[:10_000])
        words = _words(told.get("error", told))
    if answer.status_code in (400, 413, 422):
        return Refusal(422, f"the engine refuses this: {words or answer.status_code}")
    return Refusal(
        503 if answer.status_code in (429, 503) else 502, f"the engine answers with status {answer.status_code}"
    )


def _words(told: Any) -> str:
    said = told.get("message", told) if isinstance(told, dict) else told
    return clean_line(str(said))[:300]
