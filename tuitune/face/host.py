"""Where the engine runs: in a thread of this process, or in a process of its own."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Protocol

import psutil

from tuitune.errors import RunError
from tuitune.run import Inbox, RunDir, State, liveness
from tuitune.run.inbox import Command
from tuitune.run.process import detach

if TYPE_CHECKING:
    from tuitune.engine.run import Outcome
    from tuitune.engine.session import Session

_GRACE = 2.0  # seconds between the end of a process and its last words being visible


class Host(Protocol):
    """An engine at work, as a face sees it."""

    def ask(self, command: Command) -> None:
        """Give the engine a command; safe inside a signal handler."""
        ...

    def wait(self, seconds: float) -> bool:
        """Wait so long, or until the engine has ended; return whether it has."""
        ...


class ThreadHost:
    """The engine in a thread of this process; `outcome` is there when it has ended."""

    _latest: ClassVar[ThreadHost | None] = None

    def __init__(self, run: RunDir, *, detached: bool = False) -> None:
        self._run, self._detached = run, detached
        self._session: Session | None = None
        self._asked: deque[Command] = deque()
        self._outcome: Outcome | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="engine")

    @classmethod
    def active(cls) -> ThreadHost | None:
        """Return the one that trains in this process now."""
        host = cls._latest
        return host if host is not None and host._thread.is_alive() else None

    @property
    def run(self) -> RunDir:
        """The run it trains."""
        return self._run

    def start(self) -> ThreadHost:
        """Begin to train. Raises RunError while another run trains here: both would change torch's settings."""
        if (other := ThreadHost.active()) is not None:
            raise RunError(f"{other.run.name} trains in this process already", "stop it first")
        ThreadHost._latest = self
        self._thread.start()
        return self

    def _work(self) -> None:
        from tuitune.engine.run import run

        try:
            self._outcome = run(self._run, detached=self._detached, on_session=self._meet)
        except BaseException as error:  # it is raised again where somebody can say it
            self._error = error

    def _meet(self, session: Session) -> None:
        self._session = session
        self._pass_on()

    def ask(self, command: Command) -> None:
        """Give the engine a command, as soon as it has a session."""
        self._asked.append(command)
        self._pass_on()

    def _pass_on(self) -> None:
        # A signal handler and the engine's thread call it: a deque needs no lock, and each item leaves it once.
        while self._session is not None:
            try:
                self._session.ask(self._asked.popleft())
            except IndexError:
                return

    def wait(self, seconds: float) -> bool:
        """Wait for the thread."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    @property
    def outcome(self) -> Outcome:
        """How it ended; raises what ended the thread, if it was no outcome."""
        if self._error is not None:
            raise self._error
        assert self._outcome is not None
        return self._outcome


class ProcessHost:
    """The engine in a process of its own, seen through its state."""

    def __init__(self, run: RunDir, *, pid: int | None = None, attempt: int = 0) -> None:
        self._run, self._pid, self._attempt = run, pid, attempt
        self._gone: float | None = None

    @classmethod
    def start(cls, run: RunDir) -> ProcessHost:
        """Start an engine and return it."""
        former = State.read(run.state)
        return cls(run, pid=detach(run), attempt=(former.attempt if former else 0) + 1)

    @property
    def pid(self) -> int | None:
        """The number of the process, where this one started it."""
        return self._pid

    def ask(self, command: Command) -> None:
        """Put a command into the run's inbox."""
        # For this attempt only: a stop that crosses the end must not end the next one.
        Inbox(self._run.inbox).send(replace(command, attempt=self._attempt or None))

    def wait(self, seconds: float) -> bool:
        """Wait that long; tell whether the engine has ended."""
        time.sleep(seconds)
        state = State.read(self._run.state)
        if state is not None and state.attempt >= self._attempt:
            return liveness(state) != "live"
        return self._never_began()

    def _never_began(self) -> bool:
        if self._pid is None or psutil.pid_exists(self._pid):
            return False
        self._gone = self._gone or time.monotonic()
        return time.monotonic() - self._gone > _GRACE


def prepare_for(device: str = "auto", threads: int | None = None) -> None:
    """Set this process up for torch, before it is imported."""
    from tuitune.engine.setup import prepare_process

    prepare_process(device=device, threads=threads)
