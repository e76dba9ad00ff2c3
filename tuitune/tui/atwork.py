"""Commands at work in processes of their own, as every screen tells of them: a word above, and one when they end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuitune.errors import TuiTuneError
from tuitune.run.job import Job
from tuitune.text import clean_line
from tuitune.tui.jobs import Jobs
from tuitune.tui.screens.table import NAMED, kind_of
from tuitune.tui.status import Status

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

KINDS = ("evaluate", "export", "push", "serve")
_SCREENS = {"push": "export"}  # of the kinds that have no screen of their name
_EVERY = 2.0  # seconds between two looks


class AtWork:
    """The app's eye on commands that outlive it; a part of the app."""

    _watched: Jobs
    _looks = False

    @property
    def _app(self) -> TuiTune:
        return self  # type: ignore[return-value]

    def watch_jobs(self) -> None:
        """Begin to look at what is at work, now and again and again."""
        self._watched = Jobs(KINDS, past=False)
        self._app.set_interval(_EVERY, self._look_at_jobs)
        self._look_at_jobs()

    def _look_at_jobs(self) -> None:
        if not self._looks:
            self._looks = True
            self._app.in_thread("at work", self._look, self._tell_of_jobs)

    def _look(self) -> Sequence[Job]:
        try:
            return self._watched.look()[0]
        except (TuiTuneError, OSError):  # a home that cannot be read is said by whoever needs it
            return ()
        finally:
            self._looks = False

    def _tell_of_jobs(self, changed: Sequence[Job]) -> None:
        running = [_doing(job) for job in self._watched.running]
        seen = {kind_of(screen) for screen in self._app.screen_stack}
        for screen in self._app.screen_stack:
            for status in screen.query(Status):
                status.show_work(running)
        for job in changed:
            place = _SCREENS.get(job.kind, job.kind)
            if place not in seen:  # its own screen tells more
                self._tell_of_end(job, NAMED[place].title)

    def _tell_of_end(self, job: Job, place: str) -> None:
        title = clean_line(job.title)
        match self._watched.status(job):
            case "done":
                self._app.say(f"{title} is done: see {place} (ctrl+o)")
            case "failed" | "lost":
                why = clean_line(str((job.error or {}).get("message", "it ended without a word")))
                self._app.say(f"{title} failed: {why}; see {place} (ctrl+o)", "error")


def _doing(job: Job) -> str:
    if job.kind == "serve":
        return "serving"
    _, done, total = job.progress or ("", 0, None)
    return f"{job.kind} {min(99, done * 100 // total)} %" if total else job.kind
