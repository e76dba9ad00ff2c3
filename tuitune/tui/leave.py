"""What the app is asked to open, and what it says when it ends. Imports nothing: the guardian holds it as well."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tuitune.face.host import ProcessHost, ThreadHost
    from tuitune.run import RunDir

Kind = Literal["quit", "detach", "restart", "lost"]


@dataclass(frozen=True)
class Request:
    """The words of a command line that opens the app.

    recipe: a file or a preset's name. attach: a run's name, "" for the newest live one, None for none.
    """

    recipe: str | None = None
    settings: tuple[str, ...] = ()
    attach: str | None = None
    mouse: bool = True


@dataclass(frozen=True)
class Start:
    """What a request has turned out to mean; all None: the last draft, or the quickstart preset."""

    path: Path | None = None
    preset: str | None = None
    settings: tuple[str, ...] = ()
    run: RunDir | None = None
    mouse: bool = True


@dataclass(frozen=True)
class Leave:
    """How the app ends.

    quit: nothing trains here. detach: the terminal goes back to its user, the engine of `host` goes on. lost: the same
    without a terminal to say it on. restart: a fresh process opens `run`, because this one cannot be trusted any more.
    """

    kind: Kind
    run: RunDir | None = None
    host: ThreadHost | ProcessHost | None = None
    code: int = 0
    words: tuple[str, ...] = ()
