"""What stands before every route: the address that was meant, the token, the size of the request."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from tuitune.serve.refusal import Refusal
from tuitune.serve.secret import Secret

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def is_loopback(host: str) -> bool:
    """Tell whether an address reaches this machine only."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Guard:
    """Lets a request through to `app` if it names this server, has the token and is not too long.

    any_host: the server listens beyond this machine, so that any name may be its own. On loopback only loopback's names
    are: a page in the user's browser whose name was made to lead here (DNS rebinding) says its own. refused: hears of
    the status of what was not let through.
    """

    def __init__(
        self,
        app: App,
        secret: Secret,
        *,
        body: int,
        any_host: bool,
        refused: Callable[[int], None] = lambda status: None,
    ) -> None:
        self._app, self._secret, self._body, self._any_host = app, secret, body, any_host
        self._note = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or let it through."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        refusal = self._refused(scope)
        if refusal is not None:
            self._note(refusal.status)
            await answer(refusal, send)
            return
        await self._app(scope, _Counted(receive, self._body), send)

    def _refused(self, scope: Scope) -> Refusal | None:
        headers = dict(scope["headers"])  # of several of one name the last
        host = headers.get(b"host", b"").decode("latin-1")
        if not self._any_host and not is_loopback(_without_port(host)):
            return Refusal(403, "this server answers to localhost and 127.0.0.1 only, and was called by another name")
        if not self._secret.opens(_bearer(headers.get(b"authorization", b""))):
            return Refusal(
                401,
                "the token is missing or wrong: send `Authorization: Bearer TOKEN` with the one that `tuitune serve` "
                "showed",
                code="invalid_api_key",
            )
        return too_long(headers.get(b"content-length", b""), self._body)


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host.partition("]")[0][1:]
    return host.rpartition(":")[0] if host.count(":") == 1 else host


def _bearer(header: bytes) -> bytes:
    scheme, _, token = header.partition(b" ")
    return token.strip() if scheme.lower() == b"bearer" else b""


def too_long(length: bytes, most: int) -> Refusal | None:
    """Return the refusal of a body that says to be longer than `most` bytes."""
    if length.isdigit() and int(length) > most:
        return _TooLong(most)
    return None


class _TooLong(Refusal):
    def __init__(self, most: int) -> None:
        super().__init__(413, f"the request is longer than {most:,} bytes", code="request_too_large")


class _Counted:
    """`receive`, which refuses a body once it is longer than `most` bytes."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._most, self._count = receive, most, 0

    async def __call__(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._count += len(message.get("body", b""))
            if self._count > self._most:
                raise _TooLong(self._most)
        return message


async def answer(refusal: Refusal, send: Send) -> None:
    """Send a refusal, and close the connection: what is left of the request is not read."""
    body = orjson.dumps(refusal.body())
    headers = {
        "Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close", **refusal.headers,
    }  # fmt: skip
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
