"""The servers of TuiTune's own that run on this machine: who answers there, and the token that opens them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from urllib.parse import urlsplit

from tuitune.chat.server import ServerChat
from tuitune.errors import RunError
from tuitune.serve import live
from tuitune.serve.live import Seen


@dataclass(frozen=True, slots=True)
class Served:
    """A model that a server offers: the word that means it, and its name and place; foreign text."""

    word: str
    name: str
    place: str


def servers() -> list[Seen]:
    """Return the servers that run, the newest first. Reads the disk."""
    try:
        return live.seen()
    except (OSError, RunError):
        return []


def models() -> list[Served]:
    """Return the models that can be asked at those servers; one that only judges writes no answers. Reads the disk."""
    return [
        Served(f"{server.url}/v1#{model['name']}", str(model["name"]), urlsplit(server.url).netloc)
        for server in servers()
        for model in server.models
        if model.get("name") and not model.get("judges")
    ]


def found(url: str, model: str | None = None) -> ServerChat:
    """Return the partner at a server as `ServerChat.found` does; one of ours is opened by the token that it left.

    The token is read again where it is refused: a server that is started again leaves another. Raises UsageError or
    ModelError.
    """
    return ServerChat.found(url, model, newest=partial(_token, url))


def _token(url: str) -> str | None:
    # By the very address that the server wrote down: behind another name there may be another server.
    place = urlsplit(url.partition("#")[0])
    if place.scheme != "http":
        return None
    return next((each.token for each in servers() if urlsplit(each.url).netloc == place.netloc), None)
