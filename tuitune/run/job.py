"""A command of TuiTune's own at work in a process of its own, which outlives whoever asked: evaluate, export, serve.

Its folder in `$TUITUNE_HOME/jobs` holds `job.json` (what was asked, and by which process it is done), `lines.jsonl`
(what the command tells with --json: progress, note, then result or error) and `console.log`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import orjson
import psutil

from tuitune.errors import RunError
from tuitune.run import places
from tuitune.run.files import PRIVATE_FILE, private_dir, write_atomic
from tuitune.run.packing import pack
from tuitune.run.process import lives

PROGRAM = (sys.executable, "-m", "tuitune")
Status = Literal["running", "done", "failed", "cancelled", "lost"]
_FILES = ("lines.jsonl", "console.log")
_CANCELLED = "cancelled"  # a mark that the user wanted the end
_ERROR, _HINT = "error: ", "  hint: "  # how a command's failure is printed


@dataclass
class Job:
    """One job; `read` brings `progress`, `notes`, `result` and `error` up to date.

    progress: stage, how much is done, of how much (None: nobody knows). within: how far what is not done yet is, in
    words, where that is told. result and error are the objects that the command printed last. lines: what is neither,
    such as a server's requests. argv: the words after `tuitune`. secret words never belong there.
    """

    path: Path
    kind: str
    title: str
    argv: tuple[str, ...]
    pid: int
    born: float
    started: float
    progress: tuple[str, int, int | None] | None = None
    within: str = ""
    notes: list[str] = field(default_factory=list)
    result: Mapping[str, Any] | None = None
    error: Mapping[str, Any] | None = None
    lines: list[Mapping[str, Any]] = field(default_factory=list)
    _offset: int = 0

    @classmethod
    def start(cls, kind: str, title: str, argv: Sequence[str], *, cwd: Path | None = None) -> Job:
        """Start `tuitune *argv --json` in a session of its own. Raises RunError when it cannot be started."""
        path = private_dir(
            private_dir(places.home() / "jobs") / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(3)}"
        )
        command = [*PROGRAM, *argv, "--json"]
        out, err = (os.open(path / name, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE) for name in _FILES)
        try:
            child = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True, close_fds=True,
                cwd=cwd,
            )  # fmt: skip
        except OSError as error:
            raise RunError(f"{kind} cannot be started: {error.strerror}") from error
        finally:
            os.close(out)
            os.close(err)
        # Waited for, so that it does not stay a zombie should it end before this process does.
        threading.Thread(target=child.wait, name=f"wait-{child.pid}", daemon=True).start()
        try:
            born = psutil.Process(child.pid).create_time()
        except psutil.NoSuchProcess:
            born = time.time()  # it has ended already, and was waited for
        job = cls(path, kind, title, tuple(argv), child.pid, born, time.time())
        about = {name: getattr(job, name) for name in ("kind", "title", "argv", "pid", "born", "started")}
        write_atomic(path / "job.json", pack(about) + b"\n")
        return job

    @classmethod
    def all(cls, kind: str | None = None, *, known: Mapping[str, Job] | None = None) -> list[Job]:
        """Return the jobs that are remembered, the newest first; `known` ones, by their ids, are not opened again."""
        paths, known = sorted(private_dir(places.home() / "jobs").iterdir(), reverse=True), known or {}
        found = [job for path in paths if (job := known.get(path.name) or cls._open(path)) is not None]
        return [job for job in found if kind in (None, job.kind)]

    @classmethod
    def _open(cls, path: Path) -> Job | None:
        try:
            about = orjson.loads((path / "job.json").read_bytes())
            return cls(path, str(about["kind"]), str(about["title"]), tuple(map(str, about["argv"])),
                       int(about["pid"]), float(about["born"]), float(about["started"]))  # fmt: skip
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def id(self) -> str:
        """The name of its folder."""
        return self.path.name

    @property
    def status(self) -> Status:
        """How it is doing, as far as `read` has come; "lost" is a process that went without a word."""
        if self.result is not None:
            return "done"
        if self.error is not None:
            return "cancelled" if self.error.get("stopped") else "failed"
        if self._alive():
            return "running"
        return "cancelled" if (self.path / _CANCELLED).exists() else "lost"

    def _alive(self) -> bool:
        return lives(self.pid, self.born)

    def read(self) -> bool:
        """Take in what the command has told since; return whether there was anything."""
        alive = self._alive()  # before reading: what a process wrote last is then there
        with contextlib.suppress(FileNotFoundError), (self.path / _FILES[0]).open("rb") as stream:
            stream.seek(self._offset)
            data = stream.read()
            end = len(data) if not alive else data.rfind(b"\n") + 1
            self._offset += end
            for line in data[:end].splitlines():
                self._take(line)
            if not alive and self.result is None and self.error is None:
                self.error = self._said_at_last()
            return end > 0
        return False

    def _said_at_last(self) -> dict[str, str] | None:
        """Return the error that a command printed which ended before it could tell it as an object."""
        words = self.last_words()
        at = next((place for place, line in enumerate(words) if line.startswith(_ERROR)), None)
        if at is None:
            return None
        hint = next((line.removeprefix(_HINT) for line in words[at:] if line.startswith(_HINT)), "")
        return {"message": words[at].removeprefix(_ERROR), "hint": hint}

    def _take(self, line: bytes) -> None:
        try:
            told = orjson.loads(line)
        except orjson.JSONDecodeError:
            return
        match told:
            case {"kind": "progress", "stage": str() as stage, "done": int() as done, "total": int() | None as total}:
                self.progress, self.within = (stage, done, total), str(told.get("within", ""))
            case {"kind": "note", "text": str() as text}:
                self.notes.append(text)
            case {"kind": "result"}:
                self.result = told
            case {"kind": "error"}:
                self.error = told
            case {"kind": str()}:
                self.lines.append(told)

    def cancel(self) -> None:
        """Ask the command to end, as ctrl+c does; a second time more firmly."""
        if self._alive():
            asked = self.path / _CANCELLED
            sign = signal.SIGTERM if asked.exists() else signal.SIGINT
            asked.touch()
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self.pid, sign)

    def last_words(self, lines: int = 20) -> list[str]:
        """Return the end of what the command printed beside its JSON; foreign text."""
        try:
            return (self.path / _FILES[1]).read_text("utf-8", "backslashreplace").splitlines()[-lines:]
        except OSError:
            return []

    def forget(self) -> None:
        """Remove what is remembered of a job that has ended. Raises RunError while it runs."""
        if self._alive():
            raise RunError(f"{self.title} is still at work", "cancel it first")
        shutil.rmtree(self.path, ignore_errors=True)
