"""What the Serve screen asks for, kept from one session to the next, and the servers that run."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

import orjson

from tuitune.errors import RunError
from tuitune.run import places
from tuitune.run.files import private_dir, write_atomic
from tuitune.serve import live
from tuitune.serve.live import Seen
from tuitune.tui.subjects import typed

_FILE = "serve.asked.json"
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


def kept() -> Asked:
    """Return what was asked for last, without models."""
    try:
        told = orjson.loads((places.home() / "options" / _FILE).read_bytes())
        known = {each.name for each in fields(Asked)} - {"models"}
        return Asked(**{key: value for key, value in told.items() if key in known})
    except (OSError, ValueError, TypeError, AttributeError, RunError):
        return Asked()


def keep(asked: Asked) -> None:
    """Keep what is asked for."""
    told = {key: value for key, value in asdict(asked).items() if key != "models"}
    with contextlib.suppress(OSError, RunError):
        write_atomic(private_dir(places.home() / "options") / _FILE, orjson.dumps(told) + b"\n")


# Servers


def servers() -> list[Seen]:
    """Return the servers that run, the newest first. Reads the disk."""
    try:
        return live.seen()
    except (OSError, RunError):
        return []


def stop(pid: int) -> None:
    """Ask a server to end, as ctrl+c does."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGINT)


@dataclass(frozen=True)
class Snippet:
    """A piece of text to copy; secret: with the token in it."""

    title: str
    text: str
    secret: bool = field(default=True)


def snippets(server: Seen) -> Iterator[Snippet]:
    """Yield ways to ask a server; the token stands in a variable, so that it gets into no history."""
    model = next((str(each.get("name")) for each in server.models if not each.get("judges")), None)
    token = f"${server.source}" if server.source else server.token or ""
    yield Snippet("set once in the shell", f"export OPENAI_BASE_URL={server.url}/v1\nexport OPENAI_API_KEY={token}")
    if model is None:
        judge = str(server.models[0].get("name")) if server.models else "model"
        yield Snippet(
            "curl", _curl("score/evaluation", {"model": judge, "messages": ["a text to score"]}), secret=False
        )
        return
    messages = [{"role": "user", "content": "Who are you?"}]
    yield Snippet("curl", _curl("chat/completions", {"model": model, "messages": messages}), secret=False)
    yield Snippet("python, openai", _PYTHON.format(model=orjson.dumps(model).decode()), secret=False)


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
    data = shlex.quote(orjson.dumps(body).decode())
    return (
        f'curl "$OPENAI_BASE_URL/{path}" \\\n  -H "Authorization: Bearer $OPENAI_API_KEY" \\\n'
        f'  -H "Content-Type: application/json" \\\n  -d {data}'
    )
