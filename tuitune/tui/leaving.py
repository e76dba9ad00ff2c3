"""How the user leaves the app: quit, detach from a run that goes on, begin again with a fresh process."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tuitune.errors import TuiTuneError
from tuitune.face import words
from tuitune.run.inbox import Stop
from tuitune.tui.asking import Ask, Choice
from tuitune.tui.jobs import at_work
from tuitune.tui.leave import Kind, Leave
from tuitune.tui.runview import RunView

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

_DETACHED = "Detached, the run goes on without a terminal and loses nothing."
_PAUSED = "Detached, it waits without a terminal until you let it go on, and loses nothing."
_NAMED = 3  # commands at work that are named when the app ends


class LeaveActions:
    """The ways out; a part of the app."""

    @property
    def _app(self) -> TuiTune:
        return self  # type: ignore[return-value]

    def action_run_detach(self) -> None:
        """Leave the terminal and let the run go on."""
        app = self._app
        if not app.control.live:
            app.say("no run is training; ctrl+q quits")
            return
        self.leave_as("detach")

    def leave_as(self, kind: Kind) -> None:
        """End the screen, with a word on what goes on without it."""
        control = self._app.control
        run = control.run
        lines: tuple[str, ...] = ()
        if control.live and run is not None:
            name = words.called(run)
            lines = (f"{run.name} trains on", f"come back: tuitune attach {name}")
            if control.view is not None and control.view.picture.paused:
                lines = (f"{run.name} stays paused", f"come back: tuitune attach {name}; or: tuitune continue {name}")
        lines += _working_on()
        host = control.host if control.working else None
        self.leave(Leave(kind=kind, run=run, host=host, words=lines))

    def action_quit_app(self) -> None:
        """Leave; a run that trains in this app is asked about."""
        app, view = self._app, self._app.control.view
        if app.ending or not app.control.working or view is None:
            if app.ending:
                app.say("the run is being saved; the app ends right after")
            else:
                self.leave_as("quit")
            return
        paused = view.picture.paused
        kept = "Keep it paused, detached" if paused else "Keep training, detached"
        choices: list[Choice[str]] = [
            Choice("k", kept, "come back: tuitune attach", "detach"),
            Choice("s", "Stop and save", "then the app ends", "stop"),
            Choice("esc", "Cancel", "stay here", None),
        ]
        facts = [so_far(view), _PAUSED if paused else _DETACHED, *_working_on()]

        def chosen(answer: str | None) -> None:
            if answer == "detach":
                self.leave_as("detach")
            elif answer == "stop":
                app.ending = True
                app.steer(Stop(), "saving; the app ends right after")

        app.push_screen(Ask("Quit while it is paused?" if paused else "Quit while it trains?", facts, choices), chosen)

    def leave(self, leave: Leave) -> None:
        """End the screen; what happens to the run is in `leave`."""
        with contextlib.suppress(TuiTuneError):
            self._app.draft.close()
        self._app.settings.flush()
        self._app.sampler.stop()
        self._app.exit(leave)

    def hung_up(self) -> None:
        """The terminal is gone: go on without it."""
        self.leave_as("lost")

    def told_to_end(self) -> None:
        """SIGTERM: save and end."""
        if self._app.control.working:
            self._app.ending = True
            self._app.steer(Stop())
        else:
            self.leave_as("quit")

    def offer_restart(self) -> None:
        """Ask to begin with a fresh process: what CUDA leaves behind after a fatal error cannot be trusted."""

        def chosen(answer: str | None) -> None:
            if answer == "restart":
                self.leave(Leave(kind="restart", run=self._app.control.run))

        facts = [
            "After such an error no later work on the GPU can be trusted in this process.",
            "The run keeps its checkpoints.",
        ]
        choices: list[Choice[str]] = [
            Choice("r", "Start the app again", "on this run; ctrl+r resumes it", "restart"),
            Choice("esc", "Stay here", "runs get processes of their own", None),
        ]
        self._app.push_screen(Ask("The GPU failed in this process", facts, choices), chosen)


def _working_on() -> tuple[str, ...]:
    """Return in words which commands that were begun in the app go on without it."""
    found = [job.title for job in at_work()]
    if not found:
        return ()
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return (f"{', '.join(found[:_NAMED])}{more} {'goes' if len(found) == 1 else 'go'} on; tuitune shows it again",)


def so_far(view: RunView) -> str:
    """Return in words how far a run is."""
    picture = view.picture
    if not picture.training:
        return f"It is at: {picture.phase or 'the start'}."
    left = picture.left()
    rest = f", {words.duration(left)} left" if left is not None else ""
    return f"Step {picture.step} of {picture.total or '?'}{rest}."
