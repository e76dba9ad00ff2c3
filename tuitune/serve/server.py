"""The server at work: its socket, its end, and what it writes down."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn

from tuitune.serve.address import Address, url_of
from tuitune.serve.book import Book, Entry
from tuitune.serve.limits import Limits
from tuitune.serve.live import Live
from tuitune.serve.order import Engine
from tuitune.serve.routes import app_of
from tuitune.serve.secret import Secret

_GRACE = 30.0  # seconds that answers on their way have at the end
_CONNECTIONS = 2048  # more at once are turned away by uvicorn
_LOOK = 0.5  # seconds between two writings of the file in which others look
_BEAT = 10.0  # seconds after which it is written again though nothing has changed


class _Uvicorn(uvicorn.Server):
    """uvicorn without its handling of signals, which is `Serving`'s."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Serving:
    """One server from its start to its end.

    ended: hears of every request that is over. say: is told what a person at the terminal should know.
    """

    def __init__(
        self,
        engine: Engine,
        secret: Secret,
        limits: Limits,
        address: Address,
        sock: socket.socket,
        *,
        ended: Callable[[Entry], None] = lambda entry: None,
        say: Callable[[str], None] = lambda text: None,
        grace: float = _GRACE,
    ) -> None:
        self._engine, self._sock, self._say, self._grace = engine, sock, say, grace
        self.book = Book(ended, secret.hide)
        self.url = url_of(address, sock)
        models = [{"name": each.name, "title": each.title, "judges": each.judges} for each in engine.models.values()]
        self.live = Live(sock.getsockname()[1], self.url, models, secret.source)
        app: Any = app_of(engine, secret, limits, self.book, any_host=address.open)
        self._server = _Uvicorn(uvicorn.Config(
            app, log_config=None, access_log=False, server_header=False, date_header=False, lifespan="off",
            timeout_keep_alive=30, ws="none", http="h11", limit_concurrency=_CONNECTIONS,
        ))  # fmt: skip
        self._asked_to_end = 0

    def run(self, ready: Callable[[], None]) -> None:
        """Serve until a signal asks for the end; `ready` is called when clients may come."""
        logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
        asyncio.run(self._run(ready))

    async def _run(self, ready: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.stop)
        telling = asyncio.create_task(self._tell(ready))
        try:
            await self._server.serve(sockets=[self._sock])
        finally:
            telling.cancel()
            await self._engine.close()
            await asyncio.gather(telling, return_exceptions=True)
            self.live.remove()

    def stop(self) -> None:
        """End: let the answers on their way be written for a while; asked again, at once."""
        self._asked_to_end += 1
        if self._asked_to_end == 1:
            if count := self.book.open:
                left = "1 request is" if count == 1 else f"{count} requests are"
                self._say(f"{left} finished first, for {self._grace:g} s at most; again: at once")
            self._server.should_exit = True
            asyncio.get_running_loop().call_later(self._grace, self._cut)
        else:
            self._cut()

    def _cut(self) -> None:
        self.book.cut()
        self._server.should_exit = self._server.force_exit = True
        for connection in list(self._server.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None:
                transport.abort()

    async def _tell(self, ready: Callable[[], None]) -> None:
        """Keep the file in which others look up to date."""
        while not self._server.started:
            await asyncio.sleep(0.02)
        ready()
        loop = asyncio.get_running_loop()
        changes, written = -1, 0.0
        while True:
            busy = self.book.open > 0 or self.book.changes != changes
            if busy or loop.time() - written >= _BEAT:
                changes, written = self.book.changes, loop.time()
                now, wait = self._engine.waiting()
                self.live.write({"answers": now, "waiting": wait, **self.book.record()})
            await asyncio.sleep(_LOOK)
