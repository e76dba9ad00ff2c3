"""Tiny models behind a real server in a thread."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
import torch
import uvicorn
from peft import LoraConfig, get_peft_model

from tests.cli.given import until
from tests.tiny import tiny_model, tiny_tokenizer
from tuitune.chat.local import LocalChat
from tuitune.chat.weights import Weights
from tuitune.data.templates import choose
from tuitune.models.generate import Sampling
from tuitune.serve.book import Book
from tuitune.serve.engine import LocalEngine
from tuitune.serve.limits import Limits
from tuitune.serve.order import End, Engine, Order, Piece, Served, Ticket
from tuitune.serve.reading import Forward
from tuitune.serve.routes import app_of
from tuitune.serve.secret import Secret

TOKEN = "a-token-of-the-tests"
MESSAGES = [{"role": "user", "content": "Name three fruits."}]


def sharp_model(seed: int = 0, **config: Any) -> Any:
    """Return a tiny model that says many things, with peaked distributions: rounding does not change the likeliest."""
    model = tiny_model(seed, **{"tie_word_embeddings": False, **config})
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(6)
    return model


def partner(model: Any = None, title: str = "tiny", **options: Any) -> LocalChat:
    """Return somebody to serve."""
    tokenizer = tiny_tokenizer()
    return LocalChat(
        model or sharp_model(), tokenizer, choose(None, tokenizer), title=title, options=options,
        weights=Weights("tiny-base", title=title),
    )  # fmt: skip


def tuned(seed: int = 1) -> LocalChat:
    """Return the same model with an adapter."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False, task_type="CAUSAL_LM")
        return partner(get_peft_model(sharp_model(), config).eval(), title="tuned")


def order(
    prompt: Sequence[int], model: str = "tiny", *, request: str = "r", client: str = "", **sampling: Any
) -> Order:
    """Return an answer to ask for; greedy unless told otherwise."""
    values = {"temperature": 0.0, "max_new_tokens": 12} | sampling
    return Order(model, list(prompt), Sampling(**values), request, client)


@contextmanager
def served(engine: Engine, limits: Limits | None = None) -> Iterator[Running]:
    """Serve an engine on a free port while open."""
    running = Running(engine, limits or Limits())
    running.start()
    try:
        yield running
    finally:
        running.stop()


@contextmanager
def serving(limits: Limits | None = None, **partners: LocalChat) -> Iterator[Running]:
    """Serve partners by name; one tiny model unless given."""
    limits = limits or Limits()
    with served(LocalEngine(partners or {"tiny": partner()}, limits), limits) as running:
        yield running


@contextmanager
def held(after: int) -> Iterator[threading.Event]:
    """Let models compute so often, then stand still until the event is set, at the end of the block at the latest."""
    real, gone, left = Forward.__call__, threading.Event(), iter(range(after))

    def work(self: Forward, *arguments: Any, **keywords: Any) -> Any:
        if next(left, None) is None:
            gone.wait()
        return real(self, *arguments, **keywords)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Forward, "__call__", work)
        try:
            yield gone
        finally:
            gone.set()


class Running:
    """A server in a thread of the test's process."""

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self.engine, self.book = engine, Book()
        self._sock = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._sock.getsockname()[1]}"
        app: Any = app_of(engine, Secret(TOKEN), limits, self.book)
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", http="h11", ws="none")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        await self._server.serve(sockets=[self._sock])
        await self.engine.close()

    def start(self) -> None:
        """Begin, and wait until it listens."""
        self._thread.start()
        until(lambda: self._server.started)

    def stop(self) -> None:
        """End."""
        self._server.should_exit = True
        self._thread.join(60)
        assert not self._thread.is_alive()

    def settled(self) -> None:
        """Wait until nothing is written and nobody is answered any more."""
        until(lambda: self.engine.waiting() == (0, 0) and not self.book.open)

    def client(self, **more: Any) -> httpx.Client:
        """Return a client that has the token."""
        headers = {"Authorization": f"Bearer {TOKEN}"} | more.pop("headers", {})
        return httpx.Client(base_url=self.url, headers=headers, timeout=120, **more)


class Scripted:
    """An engine that gives answers which were written before, in pieces of a few characters."""

    def __init__(self, *texts: str, size: int = 3, template: str | None = None) -> None:
        tokenizer = tiny_tokenizer()
        form = choose(template, tokenizer)
        about = Served("tiny", tokenizer, form, 4096, {}, 0, "base", "tiny")
        self.models = {"tiny": about}
        self.asked: list[Order] = []
        self._texts, self._size = list(texts), size

    def submit(self, tickets: Sequence[Ticket]) -> None:
        """Answer at once."""
        for ticket in tickets:
            self.asked.append(ticket.order)
            text = self._texts[len(self.asked) - 1]
            for at in range(0, len(text), self._size):
                ticket.put(Piece(text[at : at + self._size]))
            ticket.put(End("stop", len(text)))

    async def scores(self, model: str, texts: Sequence[Any], longest: int | None) -> list[float]:
        """Score by length."""
        return [float(len(text)) for text in texts]

    def waiting(self) -> tuple[int, int]:
        """Nothing is ever left."""
        return 0, 0

    async def close(self) -> None:
        """Nothing is to be closed."""
