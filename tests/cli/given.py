"""What the tests of the commands share: runs planted on disk, a thread that plays engine, and real processes."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psutil

from tuitune.engine.session import Session
from tuitune.run import Journal, JournalReader, RunDir, State, events, places
from tuitune.run.inbox import Command, Continue, Pause, Stop, StopNow
from tuitune.run.process import holder

# Enough to write the clipboard, set a title, and move the cursor: none of it may ever arrive.
EVIL = "a\x1b]52;c;UFdORUQ=\x07b\x1b]0;PWN\x1b\\c\x1b[31md\x9b2Je\x08f\u202eg"
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


def start(root: Path, *arguments: str, stdin: int | None = subprocess.DEVNULL, **more: Any) -> subprocess.Popen[str]:
    """Start `tuitune` in a process of its own, with its home below `root`."""
    environment = {**os.environ, "TUITUNE_HOME": str(root / "home"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", "tuitune", *arguments], stdin=stdin, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True, encoding="utf-8", env=environment | more.pop("env", {}), cwd=more.pop("cwd", root), **more,
    )  # fmt: skip


def run(root: Path, *arguments: str, **more: Any) -> tuple[int, str, str]:
    """Run `tuitune` in a process of its own and return its exit code and what it wrote."""
    process = start(root, *arguments, **more)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def until(what: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait until `what` is true; an AssertionError when it never is."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def gone(pid: int) -> bool:
    """Tell whether a process is gone, or only waits for somebody to take note of its end."""
    return holder(pid, 0.0) == "nobody"


def plant(
    name: str, found: Sequence[events.Event] = (), *, recipe: str = "dataset: identity\n", **state: Any
) -> RunDir:
    """Make a run in the user's home with this journal; `state` are fields of its sign of life, if any."""
    made = RunDir.create(places.runs() / name, recipe)
    with Journal(made.events) as journal:
        for event in found:
            journal.append(event)
    if state:
        values: dict[str, Any] = {"pid": os.getpid(), "started": psutil.Process().create_time(), **state}
        values.setdefault("heartbeat", time.time())
        here = State.here()
        State(host=here.host, boot=here.boot, **values).write(made.state)
    return made


def story(*, steps: int = 3, total: int = 3, t: float = 1000.0) -> list[events.Event]:
    """Return the journal of an attempt that has made so many steps, one in ten seconds."""
    found: list[events.Event] = [
        events.RunStarted(1, 0, None, "run", "tiny", "sft", "lora", t=t),
        events.PhaseStarted("train", f"{total} steps", t=t + 5),
    ]
    for step in range(1, steps + 1):
        found.append(
            events.StepLogged(
                step, loss=2.0 / step, learning_rate=1e-3, grad_norm=0.5, tokens_per_second=1234.5, step_seconds=10.0,
                t=t + 5 + 10 * step,
            )
        )  # fmt: skip
    return found


def finished(step: int = 3, reason: Any = "finished", t: float = 1040.0) -> events.RunFinished:
    """Return the end of such a story."""
    return events.RunFinished(step, 40.0, reason, "/somewhere/final", {"train_loss": 1.0}, t=t)


class Engine(threading.Thread):
    """Plays the engine of a run until it is told to stop: a real session, no training."""

    def __init__(self, made: RunDir, *, answer: Callable[[Session, Command], bool] = lambda session, command: False):
        super().__init__(name="played-engine", daemon=True)
        self._run, self._answer = made, answer
        self.ready = threading.Event()
        self.over = threading.Event()

    def __enter__(self) -> Engine:
        self.start()
        assert self.ready.wait(60)
        return self

    def __exit__(self, *exc: object) -> None:
        self.over.set()
        self.join(60)

    def run(self) -> None:
        """Live."""
        with Session(self._run, attempt=1) as session:
            session.emit(events.RunStarted(1, 0, 10, self._run.name, "tiny", "sft", "lora"))
            session.stepped(4, 10)
            session.status("running")
            self.ready.set()
            while not self.over.is_set():
                for command in session.commands():
                    if self._answer(session, command):
                        continue
                    self._obey(session, command)
                time.sleep(0.01)
            session.emit(events.RunFinished(4, 1.0, "stopped"))
            session.status("stopped")

    def _obey(self, session: Session, command: Command) -> None:
        match command:
            case Pause():
                session.status("paused")
                session.emit(events.Paused(4))
            case Continue():
                session.status("running")
                session.emit(events.Resumed(4))
            case Stop() | StopNow():
                self.over.set()
        session.done(command)


def seen(text: str) -> str:
    """Return what a terminal shows of `text`: our own cursor movements and colours taken out."""
    return _CONTROL.sub("", text).replace("\r", "\n")


def journal(path: Path, kind: type[events.Event]) -> list[Any]:
    """Return the events of one kind in a run directory."""
    return [event for event in JournalReader(path / "events.jsonl").read() if isinstance(event, kind)]


def begun(path: Path, steps: int = 3) -> None:
    """Wait until a run has logged so many steps."""
    until(lambda: len(journal(path, events.StepLogged)) >= steps, 300)


def hear_all() -> None:
    """Let a new process hear signals that whoever started the tests may ignore: that is inherited."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
