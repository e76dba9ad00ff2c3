"""What the Serve screen asks for, kept from one session to the next, and what is told of a server."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

from tuitune.errors import RunError
from tuitune.run import places
from tuitune.run.files import private_dir, write_atomic
from tuitune.run.job import Job
from tuitune.serve.address import Address
from tuitune.serve.live import Seen
from tuitune.tui.kit.units import whole_seconds
from tuitune.tui.panes.blocks import counted
from tuitune.tui.subjects import typed

_FILE = "serve.asked.json"
USUAL = Address()  # where the command listens unless told otherwise
_OPTIONS = {
    "host": "--host", "port": "--port", "rows": "--rows", "queue": "--queue", "context": "--context",
    "answer": "--max-tokens", "seconds": "--timeout",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Named:
    """A model to serve: the word that names it to a command, and what clients call it, "" for its own name."""

    word: str
    name: str = ""


@dataclass(frozen=True)
class Asked:
    """What is asked for; None and "" leave the command's defaults."""

    models: tuple[Named, ...] = ()
    host: str = ""
    port: int | None = None
    rows: int | None = None
    queue: int | None = None
    context: int | None = None
    answer: int | None = None
    seconds: float | None = None

    def meets(self, server: Seen) -> bool:
        """Tell whether a server that runs has the port already."""
        where = (self.host or USUAL.host, USUAL.port if self.port is None else self.port)
        return where == (urlsplit(server.url).hostname, server.port)

    def options(self) -> list[str]:
        """Return them as options of the command."""
        given = ((option, getattr(self, name)) for name, option in _OPTIONS.items())
        return [word for option, value in given if value not in (None, "") for word in (option, f"{value:g}" if
                isinstance(value, float) else str(value))]  # fmt: skip

    def argv(self, settings: Sequence[str]) -> list[str]:
        """Return the command's words; each single request is left out of what it tells, for the file has them."""
        words = [f"{each.name}={each.word}" if each.name else each.word for each in self.models]
        return ["serve", *words, *settings, *self.options(), "--quiet"]

    def command(self, settings: Sequence[str]) -> str:
        """Return what one would type; looks at the disk."""
        short = replace(self, models=tuple(Named(typed(each.word), each.name) for each in self.models))
        return shlex.join(["tuitune", *(word for word in short.argv(settings) if word != "--quiet")])


def kept(wanted: str | None = None) -> Asked:
    """Return what was asked for last; wanted: a model that is not among those stands alone."""
    try:
        told = orjson.loads((places.home() / "options" / _FILE).read_bytes())
        known = {each.name for each in fields(Asked)} - {"models"}
        models = tuple(Named(str(each["word"]), str(each["name"])) for each in told.get("models", ()))
        asked = Asked(models, **{key: value for key, value in told.items() if key in known})
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RunError):
        asked = Asked()
    if wanted is None or any(each.word == wanted for each in asked.models):
        return asked
    return replace(asked, models=(Named(wanted),))


def keep(asked: Asked) -> None:
    """Keep what is asked for."""
    with contextlib.suppress(OSError, RunError):
        write_atomic(private_dir(places.home() / "options") / _FILE, orjson.dumps(asdict(asked)) + b"\n")


def still_there(models: Sequence[Named]) -> tuple[Named, ...]:
    """Return those whose run or folder has not gone. Looks at the disk."""
    return tuple(each for each in models if not Path(each.word).is_absolute() or Path(each.word).exists())


# Servers


def stop(pid: int) -> None:
    """Ask a server to end, as ctrl+c does."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGINT)


def doing(job: Job, server: Seen | None) -> list[str]:
    """Return what a command that serves is doing, in sentences; nothing while it still loads."""
    if server is None:
        ready = next((line for line in job.lines if line.get("kind") == "ready"), None)
        return [f"serving {ready.get('url')}/v1"] if ready is not None else []
    totals = server.work.get("totals")
    requests = totals.get("requests", 0) if isinstance(totals, dict) else 0
    up = whole_seconds(time.time() - server.started)
    now = server.work.get("answers") or 0
    return [f"serving {server.url}/v1", f"up {up}, {counted(requests, 'requests')}, {now:,} written now"]


@dataclass(frozen=True)
class Snippet:
    """A piece of text to copy; secret: with the token in it."""

    title: str
    text: str
    secret: bool = field(default=True)


def snippets(server: Seen) -> list[Snippet]:
    """Return ways to ask a server; the token stands in a variable, so that it gets into no history."""
    model = next((str(each.get("name")) for each in server.models if not each.get("judges")), None)
    token = f"${server.source}" if server.source else server.token or ""
    shell = Snippet("set once in the shell", f"export OPENAI_BASE_URL={server.url}/v1\nexport OPENAI_API_KEY={token}")
    if model is None:
        judge = str(server.models[0].get("name")) if server.models else "model"
        curl = _curl("score/evaluation", {"model": judge, "messages": ["a text to score"]})
        return [shell, Snippet("curl", curl, secret=False)]
    curl = _curl("chat/completions", {"model": model, "messages": [{"role": "user", "content": "Who are you?"}]})
    python = _PYTHON.format(model=json.dumps(model, ensure_ascii=False))
    return [shell, Snippet("curl", curl, secret=False), Snippet("python, openai", python, secret=False)]


_PYTHON = """from openai import OpenAI

client = OpenAI()  # takes both from the environment
stream = client.chat.completions.create(
    model={model}, stream=True,
    messages=[{{"role": "user", "content": "Who are you?"}}],
)
for part in stream:
    if part.choices:
        print(part.choices[0].delta.content or "", end="", flush=True)"""


def _curl(path: str, body: dict[str, Any]) -> str:
    data = shlex.quote(json.dumps(body, ensure_ascii=False))  # with blanks, where a narrow pane can break it
    return (
        f'curl "$OPENAI_BASE_URL/{path}" \\\n  -H "Authorization: Bearer $OPENAI_API_KEY" \\\n'
        f'  -H "Content-Type: application/json" \\\n  -d {data}'
    )
