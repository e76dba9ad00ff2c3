"""`tuitune web`: the app in a browser."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

from tuitune.cli.console import say, screen
from tuitune.cli.telling import Teller
from tuitune.errors import UsageError
from tuitune.run import places
from tuitune.run.files import write_atomic
from tuitune.run.streams import guard

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from tuitune.serve.address import Address
    from tuitune.serve.secret import Secret


def web(words: Sequence[str], *, host: str | None, port: int) -> int:
    """Serve the app until ctrl+c; words: what it opens, as `tuitune` alone takes them. Return the exit code."""
    if find_spec("textual_serve") is None:
        raise UsageError("the app in a browser needs textual-serve", "pip install 'tuitune[web]'")
    with guard(places.home() / "web.log") as real:
        tell = Teller(real.out, real.err, lambda stage, done, total: None, as_json=False)
        from tuitune.serve.address import Address
        from tuitune.serve.secret import Secret

        # Never the token of `tuitune serve`: who may ask a model shall not have a terminal's power.
        secret, address = Secret.of({}), Address(host or "127.0.0.1", port)
        with address.bound() as sock:
            asyncio.run(_serve([sys.executable, "-m", "tuitune", *words], secret, address, sock, tell))
    return 0


async def _serve(argv: Sequence[str], secret: Secret, address: Address, sock: socket.socket, tell: Teller) -> None:
    from aiohttp.web import AppRunner, SockSite

    from tuitune.serve.live import folder
    from tuitune.tui.web import Web

    runner = AppRunner(await Web(argv, secret, any_host=address.open).app(), access_log=None, shutdown_timeout=5.0)
    await runner.setup()
    end = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    place = folder() / f"web-{sock.getsockname()[1]}.token"
    try:
        await SockSite(runner, sock).start()
        _ready(address, sock, secret, place, tell)
        await end.wait()
    finally:
        place.unlink(missing_ok=True)
        await runner.cleanup()


def _ready(address: Address, sock: socket.socket, secret: Secret, place: Path, tell: Teller) -> None:
    """Say where it is. The token is shown to a person at a terminal only: everything else may be a log."""
    from tuitune.serve.address import url_of

    if address.open:
        tell.note(
            f"{address.host} is reachable from other machines, and the connection is not encrypted: whoever reads it "
            "gets a terminal here; `ssh -L` keeps it private"
        )
    out, url = screen(tell.out), url_of(address, sock)
    if out.is_terminal:
        say(out, f"{url}/#{secret.value}")
    else:
        write_atomic(place, f"{url}/#{secret.value}\n".encode())
        say(out, f"{url}; the address with its token is in {place}")
    say(out, "whoever has this address has a terminal here; ctrl+c ends it, and what trains goes on", "dim")
