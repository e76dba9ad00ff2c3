"""A conversation as it grows: in memory for the model, and line by line on disk, so that a crash loses nothing."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

import orjson

from tuitune.chat.base import Options, Role, Turn
from tuitune.errors import RunError, UsageError
from tuitune.run import places
from tuitune.run.files import PRIVATE_FILE, private_dir, write_all
from tuitune.run.inbox import OPTIONS, check_option
from tuitune.run.packing import pack

Entry = dict[str, str | float | None]
_ROLES: tuple[Role, ...] = ("user", "assistant", "function", "observation")


class Conversation:
    """Turns, a system message and tools; with a `path`, every change is a line there at once, in a private file.

    tools: a JSON list of functions, "" for none. whom: who was asked last, by a name that a program can find again.
    sampling: how answers are drawn where it was said, None where it never was.
    """

    def __init__(self, path: Path | None = None, *, system: str | None = None, tools: str = "") -> None:
        self.path = path
        self.turns: list[Turn] = []
        self.system: str | None = None
        self.tools = self.whom = ""
        self.sampling: Options | None = None
        if system is not None:
            self.instruct(system)
        if tools:
            self.offer(tools)

    @classmethod
    def begin(cls, *, system: str | None = None, tools: str = "") -> Conversation:
        """Return a new conversation that is kept in the user's chats; the file appears with the first line."""
        return cls(private_dir(places.home() / "chats") / f"{stamp()}.jsonl", system=system, tools=tools)

    @classmethod
    def load(cls, path: Path) -> Conversation:
        """Return the conversation in a file, to go on with it; lines that are torn or strange are left out."""
        talk = cls()
        for line in path.read_bytes().splitlines():
            try:
                talk._apply(orjson.loads(line))
            except (orjson.JSONDecodeError, KeyError, TypeError):
                continue
        talk.path = path
        return talk

    def _apply(self, entry: Entry) -> None:
        match entry:
            case {"kind": "system", "content": str() | None as content}:
                self.system = content
            case {"kind": "tools", "content": str() as content}:
                self.tools = content
            case {"kind": "whom", "name": str() as name}:
                self.whom = name
            case {"kind": "sampling"}:
                self.sampling = drawn_so(entry)
            case {"kind": "clear"}:
                self.turns.clear()
            case {"kind": "turn", "role": str() as role, "content": str()} if role in _ROLES:
                self.turns.append(_turn(role, entry))
            case {"kind": "undo"} if self.turns:
                self.turns.pop()

    def ask(self, text: str) -> None:
        """Add what the user says."""
        self.add(Turn("user", text))

    def answer(self, text: str, *, by: str = "", reason: str = "end", score: float | None = None) -> None:
        """Add a reply; score: what a reward model says of it."""
        self.add(Turn("assistant", text, by, reason, score))

    def add(self, turn: Turn) -> None:
        """Add a turn of any role, with its remarks."""
        entry: Entry = {"kind": "turn", "role": turn.role, "content": turn.content}
        if turn.is_answer:
            entry |= {"by": turn.by, "reason": turn.reason}
        remarks = (("score", turn.score), ("tokens", turn.tokens or None), ("seconds", turn.seconds or None),
                   ("prompt_tokens", turn.prompt_tokens or None))  # fmt: skip
        self._record(entry | {name: value for name, value in remarks if value is not None})

    def undo(self) -> None:
        """Take the last turn back: a question that got no answer would leave two of the user's in a row."""
        self._record({"kind": "undo"})

    def instruct(self, system: str | None) -> None:
        """Set the system message; None is the partner's own."""
        self._record({"kind": "system", "content": system})

    def offer(self, tools: str) -> None:
        """Set the tools that may be called; "" takes them away."""
        self._record({"kind": "tools", "content": tools})

    def ask_of(self, name: str) -> None:
        """Note who is asked from now on."""
        if name != self.whom:
            self._record({"kind": "whom", "name": name})

    def draw(self, sampling: Options) -> None:
        """Note how answers are drawn from now on."""
        if sampling != self.sampling:
            self._record({"kind": "sampling", **sampling})

    def clear(self) -> None:
        """Forget the turns; the file keeps them."""
        self._record({"kind": "clear"})

    def _record(self, entry: Entry) -> None:
        self._apply(entry)
        if self.path is None:
            return
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
            try:
                write_all(fd, _missing_break(fd) + pack({**entry, "t": time.time()}) + b"\n")
            finally:
                os.close(fd)
        except OSError as error:
            reason = f"{self.path} cannot be written: {error.strerror}"
            raise RunError(reason, "make room on the disk, or set TUITUNE_HOME to a directory you can write") from error


def _missing_break(fd: int) -> bytes:
    """Return a line break where a file ends in a torn line, as a full disk leaves it: what follows is not spoilt."""
    size = os.fstat(fd).st_size
    return b"\n" if size and os.pread(fd, 1, size - 1) != b"\n" else b""


def drawn_so(found: Mapping[str, object]) -> Options:
    """Return the options that `found` holds about how answers are drawn; what is strange is left out."""
    options: dict[str, float | int | bool] = {}
    for name in OPTIONS:
        value = found.get(name)
        with contextlib.suppress(UsageError):
            if isinstance(value, int | float):
                check_option(name, value)
                options[name] = value
    return options


def stamp() -> str:
    """Return a name for what begins now, later ones behind earlier ones."""
    return f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"


def _turn(role: str, entry: Entry) -> Turn:
    def number(name: str) -> float | None:
        value = entry.get(name)
        return float(value) if isinstance(value, int | float) else None

    by, reason = str(entry.get("by") or ""), str(entry.get("reason") or "end")
    return Turn(
        role, str(entry["content"]), by, reason, number("score"), int(number("tokens") or 0),  # type: ignore[arg-type]
        number("seconds") or 0.0, int(number("prompt_tokens") or 0),
    )  # fmt: skip
