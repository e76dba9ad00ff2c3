"""Follow an engine at work until it ends, five times a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tuitune.cli.host import Signals
from tuitune.cli.views import View
from tuitune.errors import RunError, TrainingError
from tuitune.face import words
from tuitune.face.host import Host
from tuitune.face.picture import Picture
from tuitune.run import JournalReader, RunDir, State, events

_GAP = 0.2  # seconds between two looks


class Failed(TrainingError):
    """How a run failed, in the engine's words and with its exit code."""

    def __init__(self, message: str, hint: str, code: int) -> None:
        super().__init__(message, hint)
        self.exit_code = code  # type: ignore[misc]


class Face:
    """A view whose reader may go away: a closed pipe or a dropped terminal sets `lost`, and nothing more is drawn."""

    def __init__(self, view: View) -> None:
        self._view = view
        self.lost = False

    @property
    def picture(self) -> Picture:
        """What is known of the run."""
        return self._view.picture

    def show(self, found: Sequence[events.Event], state: State | None) -> None:
        """Take in what is new and draw it."""
        self._try(lambda: self._view.show(found, state))
        if self.lost:
            self.picture.take_all(found)

    def say(self, text: str, style: str = "") -> None:
        """Print a line."""
        self._try(lambda: self._view.say(text, style))

    def close(self) -> None:
        """Give the terminal back."""
        self._try(self._view.close)

    def _try(self, draw: Callable[[], None]) -> None:
        if not self.lost:
            try:
                draw()
            except OSError:
                self.lost = True


def watch(run: RunDir, face: Face, reader: JournalReader, host: Host, signals: Signals, *, stop_if_lost: bool) -> bool:
    """Show the run until it ends; return False when the user, or whoever read, has left before that.

    stop_if_lost: what a run in the foreground owes its terminal; the other kind goes on without a reader.
    """
    ended = False
    while not ended and not signals.leave:
        ended = host.wait(_GAP)
        while signals.notices:
            face.say(signals.notices.popleft(), "yellow")
        face.show(reader.read(), State.read(run.state))
        if face.lost and not ended:
            if not stop_if_lost:
                return False
            signals.stop()
    face.close()
    return ended


def tell_end(run: RunDir, face: Face) -> None:
    """Say where the result is and what to do next."""
    for number, line in enumerate(words.ending(run, face.picture)):
        face.say(line, "bold" if number == 0 else "")


def exit_code(run: RunDir, end: events.Event | None) -> int:
    """Return the exit code of a run that ended so; raises TrainingError or RunError where it did not end well."""
    match end:
        case events.RunFinished(reason=reason):
            return 0 if reason == "finished" else 3
        case events.RunFailed(message=message, hint=hint, exit_code=code):
            raise Failed(message, hint, code)
    raise RunError(
        f"the process that trained {run.name} ended without a word",
        f"look at the end of {run.console}; then: tuitune resume {words.called(run)}",
    )
