"""A conversation as it grows: in memory for the model, and line by line on disk, so that a crash loses nothing."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path

import orjson

from tuitune.chat.base import Turn
from tuitune.errors import RunError
from tuitune.run import places
from tuitune.run.files import PRIVATE_FILE, private_dir, write_all
from tuitune.run.packing import pack

Entry = dict[str, str | float | None]


class Conversation:
    """Turns and a system message; with a `path`, every change is a line there at once, in a private file."""

    def __init__(self, path: Path | None = None, *, system: str | None = None) -> None:
        self.path = path
        self.turns: list[Turn] = []
        self.system: str | None = None
        if system is not None:
            self.instruct(system)

    @classmethod
    def begin(cls, *, system: str | None = None) -> Conversation:
        """Return a new conversation that is kept in the user's chats; the file appears with the first line."""
        name = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}.jsonl"
        return cls(private_dir(places.home() / "chats") / name, system=system)

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
            case {"kind": "clear"}:
                self.turns.clear()
            case {"kind": "turn", "role": "user" | "assistant" as role, "content": str() as content}:
                by, reason, score = entry.get("by"), entry.get("reason"), entry.get("score")
                mark = float(score) if isinstance(score, int | float) else None
                self.turns.append(Turn(role, content, str(by or ""), str(reason or "end"), mark))
            case {"kind": "undo"} if self.turns:
                self.turns.pop()

    def ask(self, text: str) -> None:
        """Add what the user says."""
        self._record({"kind": "turn", "role": "user", "content": text})

    def answer(self, text: str, *, by: str = "", reason: str = "end", score: float | None = None) -> None:
        """Add a reply; score: what a reward model says of it."""
        more: Entry = {} if score is None else {"score": score}
        self._record({"kind": "turn", "role": "assistant", "content": text, "by": by, "reason": reason, **more})

    def undo(self) -> None:
        """Take the last turn back: a question that got no answer would leave two of the user's in a row."""
        self._record({"kind": "undo"})

    def instruct(self, system: str | None) -> None:
        """Set the system message; None is the partner's own."""
        self._record({"kind": "system", "content": system})

    def clear(self) -> None:
        """Forget the turns; the file keeps them."""
        self._record({"kind": "clear"})

    def _record(self, entry: Entry) -> None:
        self._apply(entry)
        if self.path is None:
            return
        try:
            fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE)
            try:
                # Begun with a line break, so that a line torn by a full disk cannot spoil this one.
                write_all(fd, b"\n" + pack({**entry, "t": time.time()}) + b"\n")
            finally:
                os.close(fd)
        except OSError as error:
            reason = f"{self.path} cannot be written: {error.strerror}"
            raise RunError(reason, "make room on the disk, or set TUITUNE_HOME to a directory you can write") from error
