"""What a running server leaves in TuiTune's home, for whoever looks from elsewhere: its address, its token, its work.

`$TUITUNE_HOME/serve/<port>-<pid>.json` is written again while there is something new, `.token` holds the token. Both
are private and go with the server; what a killed one left is cleared away by the next.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import psutil

from tuitune.run import places
from tuitune.run.files import private_dir, write_atomic
from tuitune.run.packing import pack
from tuitune.run.process import lives
from tuitune.serve.secret import Secret


def folder() -> Path:
    """Return where servers leave word."""
    return private_dir(places.home() / "serve")


@dataclass
class Live:
    """The word of one server; `born` is the start of its process, which tells it from a later one of that number."""

    port: int
    url: str
    models: list[dict[str, Any]]
    source: str
    pid: int = field(default_factory=os.getpid)
    born: float = field(default_factory=lambda: psutil.Process().create_time())
    started: float = field(default_factory=time.time)

    @property
    def path(self) -> Path:
        """The file."""
        return folder() / f"{self.port}-{self.pid}.json"

    def keep(self, secret: Secret) -> Path | None:
        """Write the token down, unless the environment has it; return where."""
        if secret.source:
            return None
        path = self.path.with_suffix(".token")
        write_atomic(path, secret.value.encode() + b"\n")
        return path

    def write(self, work: Mapping[str, Any]) -> None:
        """Say what the server is doing."""
        about = {name: getattr(self, name) for name in ("port", "url", "models", "source", "pid", "born", "started")}
        # A full disk must not end the server.
        with contextlib.suppress(OSError):
            write_atomic(self.path, pack({**about, "written": time.time(), **work}) + b"\n")

    def remove(self) -> None:
        """Take the word back."""
        for suffix in (".json", ".token"):
            with contextlib.suppress(OSError):
                self.path.with_suffix(suffix).unlink()


@dataclass(frozen=True)
class Seen:
    """A server as others see it; token None where the environment variable `source` has it."""

    pid: int
    port: int
    url: str
    models: list[dict[str, Any]]
    started: float
    source: str
    token: str | None
    work: Mapping[str, Any]


def seen() -> list[Seen]:
    """Return the servers that run now, the newest first; what dead ones have left is removed."""
    found = [server for path in folder().glob("*.json") if (server := _read(path)) is not None]
    return sorted(found, key=lambda server: -server.started)


def _read(path: Path) -> Seen | None:
    try:
        told = orjson.loads(path.read_bytes())
        if not lives(int(told["pid"]), float(told["born"])):
            path.unlink(missing_ok=True)
            path.with_suffix(".token").unlink(missing_ok=True)
            return None
        return Seen(int(told["pid"]), int(told["port"]), str(told["url"]), list(told["models"]),
                    float(told["started"]), str(told["source"]), _token(path), told)  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _token(path: Path) -> str | None:
    try:
        return path.with_suffix(".token").read_text("ascii").strip() or None
    except (OSError, UnicodeDecodeError):
        return None
