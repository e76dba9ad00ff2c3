"""What a running engine shares with its faces: journal, inbox, sign of life, and the wishes that have arrived."""

from __future__ import annotations

import time
from collections import deque

from tuitune.run import events
from tuitune.run.directory import RunDir
from tuitune.run.inbox import Broken, Command, Inbox, Save, Stop, StopNow
from tuitune.run.journal import Journal
from tuitune.run.state import Heartbeat, State, Status

_PROGRESS_GAP = 0.2  # seconds


class Halt(BaseException):
    """The run shall end here. Not an Exception: no library's broad `except` may swallow it."""

    def __init__(self, *, save: bool, now: bool = False) -> None:
        super().__init__("stopped by the user")
        self.save, self.now = save, now


class Session:
    """One attempt at a run. Only the engine's thread calls it, except `ask`."""

    def __init__(self, run: RunDir, *, attempt: int, detached: bool = False) -> None:
        self.run, self.attempt, self.detached = run, attempt, detached
        self.inbox = Inbox(run.inbox)
        self._journal = Journal(run.events)
        self._heart = Heartbeat(run.state, State.here(attempt=attempt, detached=detached))
        self._asked: deque[Command] = deque()
        self._waiting: deque[Command] = deque()
        self._progress_at = 0.0
        self.began = time.time()
        self.step = 0
        self.last_phase = ""

    def __enter__(self) -> Session:
        self._heart.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._heart.stop()
        self._journal.close()

    def emit(self, event: events.Event) -> None:
        """Write an event to the journal."""
        self._journal.append(event)

    def warn(self, message: str, hint: str = "") -> None:
        """Tell the user something that is no failure."""
        self.emit(events.Warned(message, hint))

    def note(self, text: str) -> None:
        """Put a line into the run's log."""
        self.emit(events.Noted(text))

    def phase(self, name: str, detail: str = "") -> None:
        """A stretch of work begins."""
        self.last_phase = name
        self._progress_at = 0.0
        self._heart.update(phase=name)
        self.emit(events.PhaseStarted(name, detail))

    def progress(self, phase: str, done: int, total: int | None) -> None:
        """How far it is; a few times a second at most reach the journal, and the end always does."""
        now = time.monotonic()
        if now - self._progress_at >= _PROGRESS_GAP or done == total:
            self._progress_at = now
            self.emit(events.Progress(phase, done, total))

    def status(self, status: Status, message: str = "") -> None:
        """Change the status that other processes see."""
        self._heart.update(status=status, message=message)

    def stepped(self, step: int, total: int | None) -> None:
        """`step` optimizer steps are done."""
        self.step = step
        self._heart.update(step=step, total_steps=total)

    def ask(self, command: Command) -> None:
        """Put a wish of this process (a signal, a key) before the next look into the inbox; any thread may call it."""
        self._asked.append(command)

    def commands(self) -> list[Command]:
        """Take what has arrived, oldest first; what is not for this attempt or no command at all is refused here."""
        taken: list[Command] = list(self._waiting)
        self._waiting.clear()
        while self._asked:
            taken.append(self._asked.popleft())
        for item in self.inbox.take():
            if isinstance(item, Broken):
                self.emit(events.CommandDone(item.id, "unknown", "refused", item.reason))
            elif item.attempt not in (None, self.attempt):
                reason = f"it was meant for attempt {item.attempt}, this is attempt {self.attempt}"
                self.done(item, "refused", reason)
            else:
                taken.append(item)
        return taken

    def later(self, command: Command) -> None:
        """Keep a command for the next `commands`."""
        self._waiting.append(command)

    def done(self, command: Command, outcome: str = "done", message: str = "") -> None:
        """Answer a command."""
        assert outcome in ("done", "refused", "failed", "deferred")
        self.emit(events.CommandDone(command.id, command.kind, outcome, message))  # type: ignore[arg-type]

    def check(self) -> None:
        """Between pieces of work before the first step: obey a stop (raises Halt), keep the rest for later."""
        commands = self.commands()
        for index, command in enumerate(commands):
            match command:
                case Stop() | StopNow():
                    for other in commands[index + 1 :]:
                        self.later(other)  # answered when the run has ended
                    self.done(command)
                    raise Halt(save=False, now=isinstance(command, StopNow))
                case Save():
                    self.done(command, "refused", "there is nothing to save before the first step")
                case _:
                    self.later(command)
