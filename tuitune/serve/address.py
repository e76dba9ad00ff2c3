"""Where a server listens, and under which address it is reached."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass

from tuitune.errors import UsageError
from tuitune.serve.guarding import is_loopback

_WAITING = 128  # connections that wait to be taken


@dataclass(frozen=True)
class Address:
    """Where to listen; port 0 is any that is free."""

    host: str = "127.0.0.1"
    port: int = 8000

    @property
    def open(self) -> bool:
        """Whether other machines reach it."""
        return not is_loopback(self.host)

    def bound(self) -> socket.socket:
        """Return a socket that listens there; who connects waits. Raises UsageError where it cannot be had."""
        try:
            found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            family, kind, protocol, _, place = found[0]
            sock = socket.socket(family, kind, protocol)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(place)
                # Before a model is loaded: two sockets may be bound to one port, but only one can listen.
                sock.listen(_WAITING)
            except OSError:
                sock.close()
                raise
            sock.set_inheritable(False)
            return sock
        except OSError as error:
            raise _not_bound(self, error) from error


def _not_bound(address: Address, error: OSError) -> UsageError:
    where = f"{address.host}:{address.port}"
    if error.errno == errno.EADDRINUSE:
        return UsageError(
            f"port {address.port} is taken: something listens on {where} already", "--port 0 takes a free one"
        )
    if error.errno == errno.EACCES:
        return UsageError(f"port {address.port} may not be used by this user", "take one above 1023")
    return UsageError(f"{where} cannot be listened on: {error.strerror or error}", "name an address of this machine")


def url_of(address: Address, sock: socket.socket) -> str:
    """Return the address under which clients on this machine reach the server."""
    port = sock.getsockname()[1]
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(address.host, address.host)
    return f"http://[{host}]:{port}" if ":" in host and not host.startswith("[") else f"http://{host}:{port}"
