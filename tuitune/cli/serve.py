"""`tuitune serve`: models behind an OpenAI-style interface."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.cli.console import say, screen
from tuitune.cli.telling import Teller, telling
from tuitune.errors import UsageError
from tuitune.face.host import prepare_for
from tuitune.face.serving import wanted_of
from tuitune.run import places
from tuitune.run.streams import guard
from tuitune.run.uses import at_work

if TYPE_CHECKING:
    import socket

    from tuitune.serve.address import Address
    from tuitune.serve.book import Entry
    from tuitune.serve.limits import Limits
    from tuitune.serve.order import Engine
    from tuitune.serve.secret import Secret
    from tuitune.serve.server import Serving


@dataclass(frozen=True)
class Asked:
    """What the command was given; None where its default, or the environment's word, holds."""

    words: Sequence[str]
    names: Sequence[str] = ()
    host: str | None = None
    port: int | None = None
    limits: Mapping[str, float | None] | None = None
    quiet: bool = False


def serve(asked: Asked, *, as_json: bool) -> int:
    """Serve until ctrl+c; return the exit code."""
    log = places.home() / "serve.log"
    with telling(log, as_json=as_json, cancelled="cancelled before the server was up") as tell:
        if find_spec("fastapi") is None or find_spec("uvicorn") is None:
            raise UsageError("the server needs fastapi and uvicorn", "pip install 'tuitune[serve]'")
        opened = _open(asked, tell)
    # The bars of the loading have gone by now: a server tells lines.
    with _lines(log, as_json=as_json) as tell, opened.sock:
        serving = opened.serving(tell, quiet=asked.quiet)
        token = serving.live.keep(opened.secret)
        serving.run(lambda: _ready(serving, opened.secret, token, tell))
        tell.result({"url": serving.url, **serving.book.totals}, _farewell(serving))
    return 0


@dataclass(frozen=True)
class _Opened:
    """A server that is ready to begin."""

    engine: Engine
    secret: Secret
    limits: Limits
    address: Address
    sock: socket.socket

    def serving(self, tell: Teller, *, quiet: bool) -> Serving:
        """Return the server."""
        from tuitune.serve.server import Serving

        return Serving(
            self.engine, self.secret, self.limits, self.address, self.sock,
            ended=_written(tell, quiet=quiet), say=lambda text: _aside(tell, text),
        )  # fmt: skip


def _open(asked: Asked, tell: Teller) -> _Opened:
    """Find out what is asked for, take the port and load the models."""
    from tuitune.serve.engines import check, engine_of
    from tuitune.serve.secret import Secret

    wanted = wanted_of(asked.words, asked.names)
    for warning in wanted.recipe.warnings:
        tell.note(str(warning))
    check(wanted.models, wanted.recipe)
    secret, limits, address = Secret.of(), _limits(asked), _address(asked, tell)
    sock = address.bound()
    try:
        first = wanted.models[0][1]
        prepare_for(first.device, first.threads)
        engine = engine_of(wanted.models, wanted.recipe, limits, progress=tell.progress, note=tell.note)
    except BaseException:
        sock.close()
        raise
    return _Opened(engine, secret, limits, address, sock)


@contextlib.contextmanager
def _lines(log: Path, *, as_json: bool) -> Iterator[Teller]:
    if as_json:
        with telling(log, as_json=True) as tell:
            yield tell
        return
    with guard(log) as real, at_work(sys.argv[1:]):
        yield Teller(real.out, real.err, lambda stage, done, total: None, as_json=False)


def _limits(asked: Asked) -> Limits:
    from tuitune.serve.limits import Limits

    given = {key: value for key, value in (asked.limits or {}).items() if value is not None}
    rows = os.environ.get("MAX_CONCURRENT", "").strip()
    if rows and "rows" not in given:
        given["rows"] = _number("MAX_CONCURRENT", rows)
    return Limits(**given)  # type: ignore[arg-type]


def _address(asked: Asked, tell: Teller) -> Address:
    from tuitune.serve.address import Address

    host = asked.host or os.environ.get("API_HOST", "").strip() or "127.0.0.1"
    said = os.environ.get("API_PORT", "").strip()
    port = asked.port if asked.port is not None else _number("API_PORT", said) if said else 8000
    if not 0 <= port <= 65535:
        raise UsageError(f"there is no port {port}", "ports go from 1 to 65535; 0 takes a free one")
    address = Address(host, port)
    if address.open:
        tell.note(
            f"{host} is reachable from other machines, and the connection is not encrypted: whoever reads it reads the "
            "token; `ssh -L` or a proxy with TLS keeps it private"
        )
    return address


def _number(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise UsageError(f"{name} is {text!r:.40}, which is no number", "unset it, or set a number") from None


def _ready(serving: Serving, secret: Secret, token: Path | None, tell: Teller) -> None:
    """Say where it is. The token is shown to a person at a terminal only: everything else may be a log."""
    models = [model["name"] for model in serving.live.models]
    if tell.as_json:
        tell.line("ready", {"url": serving.url, "port": serving.live.port, "pid": serving.live.pid, "models": models,
                            "token_file": token, "token_from": secret.source})  # fmt: skip
        tell.progress("answers", 0, None)  # the loading is over
        return
    out = screen(tell.out)
    say(out, f"{', '.join(models)}: {serving.url}/v1")
    if secret.source:
        say(out, f"token: the one in {secret.source}")
    elif out.is_terminal:
        say(out, f"token: {secret.value}")
    else:
        say(out, f"token: in {token} as long as the server runs")
    say(out, "ctrl+c ends it", "dim")


def _written(tell: Teller, *, quiet: bool) -> Callable[[Entry], None]:
    """Return what writes a line about a request that is over."""
    out = screen(tell.out)

    def write(entry: Entry) -> None:
        if tell.as_json:
            tell.line("request", entry.record())
        else:
            say(out, _words(entry), "" if entry.status == 200 else "yellow")

    return (lambda entry: None) if quiet else write


def _words(entry: Entry) -> str:
    told = entry.record()
    known = {"done": "", "left": ", the client left", "cut": ", cut off by the end of the server"}
    how = known.get(entry.state, f", failed with {entry.status}")
    rate = f", {told['tokens_per_second']:.1f} tokens/s" if told["tokens_per_second"] else ""
    return (
        f"{time.strftime('%H:%M:%S')} {entry.model}, {entry.client}: {entry.prompt} and {entry.tokens} tokens in "
        f"{told['seconds']:.1f} s{rate}{how}"
    )


def _aside(tell: Teller, text: str) -> None:
    if tell.as_json:
        tell.line("note", {"text": text})
    else:
        say(screen(tell.out), text, "yellow")


def _farewell(serving: Serving) -> str:
    totals = serving.book.totals
    asked = "1 request" if totals["requests"] == 1 else f"{totals['requests']:,} requests"
    cut = f"{totals['cut']:,} cut off by the end, " if totals["cut"] else ""
    return (
        f"{asked}: {totals['answered']:,} answered, {totals['left']:,} left by their clients, {cut}"
        f"{totals['failed']:,} failed, {totals['refused']:,} refused; {totals['tokens']:,} tokens written"
    )
