"""Where the engine runs: in a thread of this process, or in a process of its own; and the signals that reach it."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Protocol

import psutil

from tuitune.errors import TuiTuneError, UsageError
from tuitune.run import Inbox, RunDir, State, liveness
from tuitune.run.inbox import Command, Save, Stop, StopNow
from tuitune.run.process import detach

if TYPE_CHECKING:
    from tuitune.engine.run import Outcome
    from tuitune.engine.session import Session
    from tuitune.recipe import Recipe

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

    def __init__(self, run: RunDir, *, detached: bool = False) -> None:
        self._run, self._detached = run, detached
        self._session: Session | None = None
        self._asked: deque[Command] = deque()
        self._outcome: Outcome | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="engine")

    def start(self) -> ThreadHost:
        """Begin to train."""
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


class Signals:
    """The signals of a run in the foreground: the first asks for a checkpoint and the end, a second ctrl+c for the end.

    At a third ctrl+c `leave` is set: whoever presses it that often does not want to wait. Commands are made beforehand,
    because making one takes a lock that the interrupted code may hold.
    """

    def __init__(self, ask: Callable[[Command], None], *, hangup: bool = True) -> None:
        self._ask = ask
        self._signals = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hangup else [])]
        self._wishes: dict[str, Command] = {"stop": Stop(), "now": StopNow()}
        self._interrupts = 0
        self._before: dict[int, object] = {}
        self.notices: deque[str] = deque()
        self.leave = False

    def __enter__(self) -> Signals:
        for number in self._signals:
            # Under nohup a hangup is ignored, and stays so.
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._arrived)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        self._interrupts += number == signal.SIGINT
        if self._interrupts >= 3:
            self.leave = True
        elif self._interrupts == 2 and number == signal.SIGINT:
            self._wish("now", "stopping now, without a checkpoint")
        else:
            self.stop()

    def stop(self) -> None:
        """Ask for a checkpoint and the end, once."""
        self._wish("stop", "stopping: saving the last whole step (ctrl+c again ends without)")

    def _wish(self, name: str, notice: str) -> None:
        command = self._wishes.pop(name, None)
        if command is not None:
            self.notices.append(notice)
            self._ask(command)


def prepare_for(device: str = "auto", threads: int | None = None) -> None:
    """Set this process up for torch, before it is imported."""
    from tuitune.engine.setup import prepare_process

    prepare_process(device=device, threads=threads)


def host(path: str) -> int:
    """Train in the run directory `path` without a terminal: what a detached run is.

    A lost terminal is ignored; SIGTERM asks for a checkpoint and the training goes on, as the sender may kill it next.
    """
    from tuitune.engine.asked import asked

    run = RunDir(Path(path))
    if not run.is_run():
        raise UsageError(f"there is no run at {run.path}")
    recipe: Recipe | None = None
    with contextlib.suppress(TuiTuneError):  # the engine meets it again, and puts it on record
        recipe, _ = asked(run)
    if recipe is None:
        prepare_for()
    else:
        prepare_for(recipe.device, recipe.threads)
    arrived: deque[int] = deque()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: arrived.append(number))
    engine = ThreadHost(run, detached=True).start()
    while not engine.wait(0.2):
        while arrived:
            engine.ask(Save() if arrived.popleft() == signal.SIGTERM else Stop())
    return engine.outcome.exit_code
