"""What is kept of drafts on disk, so that neither a crash nor a careless quit loses a line; and the recent files."""

from __future__ import annotations

import atexit
import contextlib
import itertools
import json
import os
import threading
import weakref
from dataclasses import dataclass, replace
from pathlib import Path

from tuitune.errors import TuiTuneError, UsageError
from tuitune.run import State, places
from tuitune.run.files import private_dir, write_atomic
from tuitune.run.packing import record, restore
from tuitune.run.state import liveness
from tuitune.tui.recipefile import current

DELAY_SECONDS = 0.25
_RECENT = 20
_serial = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Recovered:
    """A draft that some app left: its text, and what that differs from. `closed`: its app ended in good order."""

    file: Path
    text: str
    path: Path | None
    preset: str | None
    base_text: str
    when: float
    closed: bool = False
    run: str | None = None

    @property
    def title(self) -> str:
        """What the draft was called; foreign text."""
        return title(self.path, self.preset or self.run)


def title(path: Path | None, name: str | None) -> str:
    """Return what a recipe is called on the screen: by its file, else by the preset or run it began from."""
    return path.name if path is not None else f"{name or 'untitled'}.yaml"


def folder() -> Path:
    """Return the folder of drafts, made if missing."""
    return private_dir(places.home() / "drafts")


class Keeper:
    """The file of one draft: written soon after each change, by a thread, and gone when there is nothing to lose.

    A full disk does not stop the editing: `trouble` holds in words what went wrong last.
    """

    def __init__(self) -> None:
        self.trouble = ""
        self._me = State.here()
        name = f"{self._me.pid}-{round(self._me.started * 1000)}-{next(_serial)}.json"
        self._path = places.home() / "drafts" / name
        self._lock = threading.Lock()
        self._next: tuple[Recovered | None] | None = None
        self._timer: threading.Timer | None = None
        self._written = False
        self._last: Recovered | None = None
        _keepers.add(self)

    @property
    def path(self) -> Path:
        """The file, which need not exist."""
        return self._path

    def offer(self, draft: Recovered | None) -> None:
        """Remember the newest state of the draft; None when it is saved elsewhere."""
        with self._lock:
            self._next, self._last = (draft,), draft
            if self._timer is None:
                self._timer = threading.Timer(DELAY_SECONDS, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def close(self) -> None:
        """Remember of the newest state that its app ended in good order."""
        if self._last is not None:
            self.offer(replace(self._last, closed=True))

    def adopt(self, file: Path) -> None:
        """Make the file of another app's draft this one's. Raises UsageError when it is gone."""
        try:
            folder()
            file.rename(self._path)
        except FileNotFoundError:
            raise UsageError("this draft is gone: another TuiTune opened it", "look at the list again") from None
        except OSError as error:
            raise UsageError(f"the draft {file.name} cannot be opened: {error.strerror}", "try again") from error
        self._written = True

    def flush(self) -> None:
        """Write what is still to be written."""
        if os.getpid() != self._me.pid:
            return  # a forked child: the file, and perhaps a locked lock, are its parent's
        with self._lock:
            waiting, self._next, timer, self._timer = self._next, None, self._timer, None
            if timer is not None:
                timer.cancel()
            if waiting is None:
                return
            try:
                self._write(waiting[0])
                self.trouble = ""
            except (OSError, TuiTuneError) as error:
                self._next = waiting
                self.trouble = f"the draft cannot be kept: {error}"

    def _write(self, draft: Recovered | None) -> None:
        if draft is None:
            if self._written:
                self._path.unlink(missing_ok=True)
            self._written = False
            return
        folder()
        values = {
            "text": draft.text, "path": str(draft.path) if draft.path else None, "preset": draft.preset,
            "run": draft.run, "base": draft.base_text, "when": draft.when, "closed": draft.closed,
            "by": record(self._me),
        }  # fmt: skip
        write_atomic(self._path, json.dumps(values).encode("ascii"))
        self._written = True


_keepers: weakref.WeakSet[Keeper] = weakref.WeakSet()


def flush_all() -> None:
    """Write every draft of this process that is not on disk yet."""
    for keeper in list(_keepers):
        keeper.flush()


atexit.register(flush_all)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=flush_all)


def recovered() -> list[Recovered]:
    """Return the drafts that no living app holds and that differ from their file, newest first."""
    found = []
    for file in sorted((places.home() / "drafts").glob("*.json")):
        draft = _read(file)
        if draft is None:
            continue
        if draft.path is not None and current(draft.path) == draft.text:
            file.unlink(missing_ok=True)  # it was saved after all
            continue
        found.append(draft)
    return sorted(found, key=lambda draft: draft.when, reverse=True)


def discard(draft: Recovered) -> None:
    """Delete a draft for good."""
    draft.file.unlink(missing_ok=True)


def _read(file: Path) -> Recovered | None:
    """Return the draft in a file unless the app that wrote it still lives."""
    try:
        values = json.loads(file.read_bytes())
        text, base, path, preset = values["text"], values["base"], values["path"], values["preset"]
        by = restore(State, {**values["by"], "heartbeat": float(values["when"]), "status": "running"})
        if not values["closed"] and liveness(by) == "live":
            return None
        return Recovered(
            file, str(text), Path(path) if path else None, preset and str(preset), str(base),
            float(values["when"]), bool(values["closed"]), values.get("run"),
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError):
        return None  # half a file, or another version's: it stays where it is


def recent() -> list[Path]:
    """Return the recipe files opened or saved last, newest first; those that are gone are left out."""
    try:
        names = json.loads((places.home() / "recent.json").read_bytes())
    except (OSError, ValueError):
        return []
    paths = [Path(name) for name in names if isinstance(name, str)] if isinstance(names, list) else []
    return [path for path in paths if path.is_file()]


def remember(path: Path) -> None:
    """Put a file on top of the recent ones. A list that cannot be written is no reason to fail."""
    names = [str(path), *(str(known) for known in recent() if known != path)][:_RECENT]
    with contextlib.suppress(OSError):
        write_atomic(places.home() / "recent.json", json.dumps(names).encode("ascii"))
