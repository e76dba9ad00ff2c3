"""The end of a server, and what is said of those who were not answered by then."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from tests.cli.given import until
from tests.serve.given import MESSAGES, TOKEN, Scripted
from tuitune.cli.serve import _farewell, _words
from tuitune.serve.address import Address
from tuitune.serve.book import Book, Entry
from tuitune.serve.limits import Limits
from tuitune.serve.order import Ticket
from tuitune.serve.secret import Secret
from tuitune.serve.server import Serving


class Silent(Scripted):
    """An engine that never comes to an answer."""

    def submit(self, tickets: Sequence[Ticket]) -> None:
        """Take it, and leave it at that."""


@pytest.mark.parametrize("clients", [1, 2])
def test_whom_the_end_of_the_server_cuts_off_has_not_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clients: int
) -> None:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path))
    ended: list[Entry] = []
    said: list[str] = []
    threads: list[threading.Thread] = []
    address = Address(port=0)
    with address.bound() as sock:
        serving = Serving(Silent(), Secret(TOKEN), Limits(), address, sock, ended=ended.append, say=said.append)

        def ask(stream: bool) -> None:
            asked = {"messages": MESSAGES, "stream": stream}
            with pytest.raises(httpx.HTTPError):
                httpx.post(
                    f"{serving.url}/v1/chat/completions", json=asked, timeout=120,
                    headers={"Authorization": f"Bearer {TOKEN}"},
                )  # fmt: skip

        def end(loop: asyncio.AbstractEventLoop) -> None:
            until(lambda: serving.book.open == clients)
            loop.call_soon_threadsafe(serving.stop)
            until(lambda: bool(said))
            loop.call_soon_threadsafe(serving.stop)

        def ready() -> None:
            threads.extend(threading.Thread(target=ask, args=(bool(number),)) for number in range(clients))
            threads.append(threading.Thread(target=end, args=(asyncio.get_running_loop(),)))
            for thread in threads:
                thread.start()

        serving.run(ready)
    for thread in threads:
        thread.join(120)
    assert said == [f"{'1 request is' if clients == 1 else '2 requests are'} finished first, for 30 s at most; "
                    "again: at once"]  # fmt: skip
    assert [(entry.state, entry.status) for entry in ended] == [("cut", 503)] * clients
    assert all(_words(entry).endswith(", cut off by the end of the server") for entry in ended)
    head = "1 request" if clients == 1 else "2 requests"
    assert _farewell(serving).startswith(
        f"{head}: 0 answered, 0 left by their clients, {clients} cut off by the end, 0 failed, 0 refused"
    )


def test_who_left_before_the_end_has_left() -> None:
    book = Book()
    entries = [book.begin(str(number), "chat", "tiny", "me", 3) for number in range(4)]
    book.end(entries[0], 499)
    book.end(entries[1], 503)
    book.cut()
    book.end(entries[2], 200)
    book.end(entries[3], 499)
    assert [entry.state for entry in entries] == ["left", "failed", "done", "cut"]
    assert [book.totals[name] for name in ("answered", "left", "cut", "failed")] == [1, 1, 1, 1]
