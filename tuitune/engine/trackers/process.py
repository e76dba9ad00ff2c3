"""The process of one tracker: it follows the journal, and tells the engine over a pipe how it is doing.

Its standard input is a pipe that ends with the engine. Its lines, one JSON object each: {"kind": "ready", "where"},
{"kind": "beat"}, {"kind": "trouble", "text"}, {"kind": "failed", "text"}.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import traceback
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from tuitune.engine.asked import asked
from tuitune.engine.trackers.base import Opening, Tracker
from tuitune.engine.trackers.feed import Feed, Logged
from tuitune.engine.trackers.figures import config_of, of_evaluation, of_step
from tuitune.engine.trackers.memory import Memory, alone
from tuitune.run.directory import RunDir
from tuitune.run.events import StepLogged
from tuitune.run.origin import Origin
from tuitune.run.packing import pack
from tuitune.text import clean_line

_CLASSES = {
    "tensorboard": "TensorBoard", "wandb": "Wandb", "mlflow": "Mlflow", "trackio": "Trackio", "swanlab": "SwanLab"
}  # fmt: skip
_NAP = 0.5  # seconds between two looks into the journal
_MOST_TEXT = 300


class Teller:
    """Writes lines for the engine; where nobody reads them any more, nothing is lost but words."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def tell(self, kind: str, **values: str) -> None:
        """Write one line."""
        with contextlib.suppress(OSError):
            os.write(self._fd, pack({"kind": kind, **values}) + b"\n")


def main(arguments: list[str]) -> int:
    """Report `run` to tracker `name` for one attempt; return 1 where that failed."""
    run, name, attempt, pid = RunDir(Path(arguments[0])), arguments[1], int(arguments[2]), int(arguments[3])
    teller = Teller(_own_output())
    # ctrl+c in the engine's terminal is not meant for the tracker: it sees the end in the journal.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(5)
    try:
        with alone(run.path, name):
            _report(run, name, Feed(run.events, attempt), pid, teller)
    except Exception as error:
        traceback.print_exc()
        teller.tell("failed", text=words(error))
        return 1
    return 0


def _own_output() -> int:
    """Return the pipe to the engine; from here on what libraries print goes where errors go."""
    fd = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return fd


def _report(run: RunDir, name: str, feed: Feed, pid: int, teller: Teller) -> None:
    while not feed.begun():
        if not _wait():
            return
    memory = Memory.read(run.path, name)
    tracker = _opened(run, name, feed.step, memory, pid)
    if tracker.id != memory.id:
        memory = Memory(tracker.id)
    memory = replace(memory, where=tracker.where)
    if tracker.replaces:
        memory = replace(memory, step=min(memory.step, feed.step), evaluated=min(memory.evaluated, feed.step))
    memory.write(run.path, name)
    teller.tell("ready", where=tracker.where)
    sender = Sender(run.path, name, tracker, memory, teller)
    here = True
    while True:
        sender.send(feed.read())
        teller.tell("beat")
        if feed.end is not None or not here:
            break
        here = _wait()
    tracker.close(*(feed.end or ("crashed", "the process that trained is gone")))


def _opened(run: RunDir, name: str, step: int, memory: Memory, pid: int) -> Tracker:
    recipe, _ = asked(run)
    origin = Origin.of(run)
    cwd = Path(origin.cwd) if origin is not None else Path.cwd()
    opening = Opening(
        name, run.path, recipe, recipe.run_name or run.name, config_of(recipe), memory.id or None, step, cwd, pid
    )
    made: Tracker = getattr(import_module(f"tuitune.engine.trackers.{name}"), _CLASSES[name])(opening)
    return made


def _wait() -> bool:
    """Sleep a moment; return whether the engine is still there."""
    return not select.select([sys.stdin], [], [], _NAP)[0]


class Sender:
    """Sends what was not sent yet; a figure that the tracker refuses is lost there and said once."""

    def __init__(self, run: Path, name: str, tracker: Tracker, memory: Memory, teller: Teller) -> None:
        self._run, self._name, self._tracker = run, name, tracker
        self._memory, self._teller = memory, teller
        self._said = False

    def send(self, found: list[Logged]) -> None:
        """Send these events in their order."""
        new = [event for event in found if event.step > self._last(event)]
        if not new:
            return
        # Kept first: after a crash in between a figure may be missing, but none is there twice.
        for event in new:
            key = "step" if isinstance(event, StepLogged) else "evaluated"
            self._memory = replace(self._memory, **{key: max(event.step, getattr(self._memory, key))})
        self._memory.write(self._run, self._name)
        for event in new:
            self._one(event)

    def _last(self, event: Logged) -> int:
        return self._memory.step if isinstance(event, StepLogged) else self._memory.evaluated

    def _one(self, event: Logged) -> None:
        figures = of_step(event) if isinstance(event, StepLogged) else of_evaluation(event)
        try:
            self._tracker.log(event.step, figures, event.t)
        except Exception as error:
            if not self._said:
                traceback.print_exc()
                self._teller.tell("trouble", text=f"step {event.step} could not be sent: {words(error)}")
            self._said = True


def words(error: Exception) -> str:
    """Return an error of a tracker's library as one line."""
    return clean_line(f"{type(error).__name__}: {error}")[:_MOST_TEXT]
