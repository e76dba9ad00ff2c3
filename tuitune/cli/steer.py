"""Commands to a run that trains: pause, continue, save, stop, learning rate."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence

from rich.status import Status

from tuitune.cli.console import can_draw, say, screen
from tuitune.cli.watch import exit_code
from tuitune.errors import RunError
from tuitune.face import words
from tuitune.face.find import find, is_live
from tuitune.face.picture import Picture
from tuitune.run import Inbox, JournalReader, RunDir, State, events
from tuitune.run.inbox import Command, Continue, Pause, Save, SetLearningRate, Stop, StopNow
from tuitune.run.state import refuse_suspended
from tuitune.text import clean_line

PATIENCE = 60.0  # seconds until an answer is missed; a step on a small machine takes up to 40
_GAP = 0.1
Ending = events.RunFinished | events.RunFailed


class Wire:
    """One command on its way to a live run: sent, then its answer and the run's end are waited for."""

    def __init__(self, run: RunDir) -> None:
        self.run = run
        state = State.read(run.state)
        if state is None or not is_live(run):
            raise RunError(f"{run.name} is not training now", f"go on with it: tuitune resume {words.called(run)}")
        refuse_suspended(state, run.name)
        self.attempt = state.attempt
        self._reader = JournalReader(run.events)
        self._reader.read()
        self._seen: list[events.Event] = []

    def send(self, command: Command) -> events.CommandDone:
        """Send a command and return the engine's answer; raises RunError when none comes."""
        Inbox(self.run.inbox).send(command)
        until = time.monotonic() + PATIENCE
        while (answer := self._answer(command.id)) is None:
            if not is_live(self.run):
                # It may have answered with its last breath.
                if (answer := self._answer(command.id)) is not None:
                    break
                raise RunError(f"{self.run.name} ended before it answered")
            if time.monotonic() > until:
                raise RunError(
                    f"{self.run.name} has not answered for {PATIENCE:.0f} seconds",
                    f"the command waits in its inbox; see what it does: tuitune attach {words.called(self.run)}",
                )
            time.sleep(_GAP)
        return answer

    def _answer(self, identifier: str) -> events.CommandDone | None:
        self._seen += self._reader.read()
        found = (e for e in self._seen if isinstance(e, events.CommandDone) and e.id == identifier)
        return next(found, None)

    def end(self) -> Ending | None:
        """Wait until the run has ended and return how, None when it went without a word."""
        while is_live(self.run):
            time.sleep(_GAP)
        self._seen += self._reader.read()
        return _last_end(self._seen)


def _last_end(seen: Sequence[events.Event]) -> Ending | None:
    return next((e for e in reversed(seen) if isinstance(e, events.RunFinished | events.RunFailed)), None)


def pause(name: str) -> int:
    """Let a run wait."""
    return _steer(name, lambda attempt: Pause(attempt=attempt), "{run} is paused")


def go_on(name: str) -> int:
    """Let a paused run go on."""
    return _steer(name, lambda attempt: Continue(attempt=attempt), "{run} goes on")


def save(name: str) -> int:
    """Write a checkpoint."""
    return _steer(name, lambda attempt: Save(attempt=attempt), "{run} has saved a checkpoint")


def learning_rate(name: str, value: float) -> int:
    """Set the peak learning rate."""
    return _steer(name, lambda attempt: SetLearningRate(value, attempt=attempt), "")


def stop(name: str, *, now: bool, wait: bool) -> int:
    """End a run; 0 when it has ended, or has been told to."""
    wire = Wire(find(name))
    command: Command = StopNow(attempt=wire.attempt) if now else Stop(attempt=wire.attempt)
    with _spinner(f"{wire.run.name} is stopping"):
        _refuse(wire.run, wire.send(command))
        end = wire.end() if wait else None
    if not wait:
        say(screen(), f"{wire.run.name} is stopping")
        return 0
    exit_code(wire.run, end)  # raises for an end that nobody asked for
    for line in words.ending(wire.run, Picture(wire.run.name, end=end)):
        say(screen(), line)
    return 0


def _steer(name: str, make: Callable[[int], Command], done: str) -> int:
    wire = Wire(find(name))
    with _spinner(f"{wire.run.name} is at work; it answers between two micro-batches"):
        answer = wire.send(make(wire.attempt))
    _refuse(wire.run, answer)
    say(screen(), answer.message or done.format(run=wire.run.name))
    return 0


def _refuse(run: RunDir, answer: events.CommandDone) -> None:
    if answer.outcome in ("refused", "failed"):
        verb = "refused to" if answer.outcome == "refused" else "failed to"
        raise RunError(f"{run.name} {verb} {answer.command.replace('_', ' ')}: {answer.message}")


@contextlib.contextmanager
def _spinner(text: str) -> Iterator[None]:
    console = screen(sys.stderr)
    if can_draw(console):
        with Status(clean_line(text), console=console):
            yield
    else:
        yield
