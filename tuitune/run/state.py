"""Who trains in a run directory, how far it is, and whether it still lives."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Literal, TypedDict, Unpack

import orjson
import psutil

from tuitune.errors import RunError
from tuitune.run.files import write_atomic
from tuitune.run.packing import pack, record, restore
from tuitune.run.process import holder

Status = Literal["starting", "running", "paused", "stopping", "finished", "stopped", "failed"]
Liveness = Literal["live", "crashed", "done", "unknown"]
DONE = ("finished", "stopped", "failed")

STALE_SECONDS = 60.0
BEAT_SECONDS = 2.0
# Steps of a tiny model may take a millisecond: they need not all reach the disk.
_LEAST_GAP = 0.2


@dataclass(frozen=True, slots=True)
class State:
    """One engine's sign of life; times are unix seconds, `boot` tells machines and containers of one name apart."""

    pid: int
    started: float
    host: str = ""
    boot: str = ""
    status: Status = "starting"
    heartbeat: float = 0.0
    attempt: int = 1
    step: int = 0
    total_steps: int | None = None
    phase: str = ""
    message: str = ""
    detached: bool = False

    @classmethod
    def here(cls, *, attempt: int = 1, detached: bool = False) -> State:
        """Return the state of an engine that starts in this process."""
        pid = os.getpid()
        started = psutil.Process(pid).create_time()
        now = time.time()
        return cls(pid, started, socket.gethostname(), boot_id(), heartbeat=now, attempt=attempt, detached=detached)

    def write(self, path: Path) -> None:
        """Replace the file `path` in one step."""
        write_atomic(path, pack(record(self)) + b"\n")

    @classmethod
    def read(cls, path: Path) -> State | None:
        """Return what `path` says, or None when it is missing or says nothing sensible."""
        try:
            values = orjson.loads(path.read_bytes())
            return restore(cls, values) if isinstance(values, dict) else None
        except (OSError, ValueError):
            return None


class Changes(TypedDict, total=False):
    """What a heartbeat may be told."""

    status: Status
    attempt: int
    step: int
    total_steps: int | None
    phase: str
    message: str
    detached: bool


@cache
def boot_id() -> str:
    """Return a word that differs between boots, machines and process namespaces; empty where the system has none."""
    with contextlib.suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    return ""


class Heartbeat:
    """Keep `state.json` fresh from a thread of its own: every two seconds, and soon after each change.

    `update` costs the engine no disk access unless the status changes. A full disk does not end a training: `error`
    holds what went wrong last.
    """

    def __init__(self, path: Path, state: State, every: float = BEAT_SECONDS) -> None:
        self.path = path
        self.error: OSError | None = None
        self._state = state
        self._every = every
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)

    @property
    def state(self) -> State:
        """The state as it was told last."""
        return self._state

    def start(self) -> Heartbeat:
        """Write the state and begin to refresh it."""
        self._write()
        self._thread.start()
        return self

    def update(self, **changes: Unpack[Changes]) -> None:
        """Change the state; a new status is on disk when this returns, anything else soon after."""
        with self._lock:
            before, self._state = self._state.status, replace(self._state, **changes)
        if self._state.status != before:
            self._write()
        else:
            self._changed.set()

    def stop(self) -> None:
        """Write the last state and end the thread."""
        self._ended.set()
        self._changed.set()
        if self._thread.is_alive():
            self._thread.join()
        self._write()

    def _beat(self) -> None:
        while not self._ended.wait(_LEAST_GAP):
            self._changed.wait(self._every)
            self._changed.clear()
            self._write()

    def _write(self) -> None:
        with self._lock:
            self._state = replace(self._state, heartbeat=time.time())
            try:
                self._state.write(self.path)
                self.error = None
            except OSError as error:
                self.error = error

    def __enter__(self) -> Heartbeat:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def liveness(state: State | None, now: float | None = None) -> Liveness:
    """Tell whether the engine that wrote `state` still trains; "unknown" where nothing was written."""
    if state is None:
        return "unknown"
    if state.status in DONE:
        return "done"
    fresh = (time.time() if now is None else now) - state.heartbeat <= STALE_SECONDS
    if (state.host, state.boot) != (socket.gethostname(), boot_id()):
        # Another machine, or this one before it was started anew: only the heartbeat can tell.
        return "live" if fresh else "crashed"
    match holder(state.pid, state.started):
        case "nobody":
            return "crashed"
        case "itself":
            return "live"
        case "unclear":
            # Another process has the number, unless the clock was set: then the beats go on.
            return "live" if fresh else "crashed"


def suspended(state: State) -> bool:
    """Tell whether the process that wrote `state` lives on this machine and was stopped by a signal, as ctrl+z does."""
    if (state.host, state.boot) != (socket.gethostname(), boot_id()):
        return False
    try:
        return psutil.Process(state.pid).status() == psutil.STATUS_STOPPED
    except (psutil.Error, ValueError):
        return False


def refuse_suspended(state: State, name: str) -> None:
    """Raise RunError when the engine of the run `name` cannot answer because its process is suspended."""
    if suspended(state):
        raise RunError(
            f"{name} does not answer: its process {state.pid} is suspended",
            f"let it go on with fg in its terminal, or with `kill -CONT {state.pid}`",
        )
