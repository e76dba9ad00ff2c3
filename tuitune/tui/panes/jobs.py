"""The jobs of a screen: how far those at work are, what came out of the others, what is to be done about a failure."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from tuitune.run.job import Job, Status
from tuitune.text import clean, clean_line
from tuitune.tui.asking import Ask, Choice
from tuitune.tui.jobs import Jobs
from tuitune.tui.kit.rows import R, Row
from tuitune.tui.panes.job_rows import head_row, job_rows
from tuitune.tui.panes.listing import ListPane, list_keys

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

_EVERY = 0.25  # seconds between two looks
_LOG = 12  # last words of the log that are shown

Words = Callable[[Job], Sequence[str]]


class JobsPane(ListPane[Job]):
    """Lists the jobs of some kinds; begins, cancels and forgets them. It looks at them only while it is mounted."""

    HELP = """
# Work in progress

What was begun here runs in a process of its own: it goes on when you leave the screen, the app or the terminal, and
you find it here again.

- **enter** all there is to know: notes, the error, the end of its log, the command
- **x** cancels what runs; asks first
- **delete** forgets what has ended; what it made stays
- **y** copies the command and what came of it
"""
    BINDINGS: ClassVar[list[BindingType]] = [
        *list_keys("jobs"),
        Binding("x", "cancel", "Cancel", show=False, id="jobs.cancel", tooltip="end the work in progress; asks"),
        Binding("delete", "forget", "Forget", show=False, id="jobs.forget", tooltip="leave an ended one out of here"),
    ]
    if TYPE_CHECKING:
        app: TuiTune

    class Changed(Message):
        """A job has begun or ended; one that had ended before the pane was mounted is no news."""

        def __init__(self, pane: JobsPane, job: Job) -> None:
            super().__init__()
            self.pane, self.job = pane, job

    class Told(Message):
        """A job has told something: progress, a note, a line of its own."""

        def __init__(self, pane: JobsPane, job: Job) -> None:
            super().__init__()
            self.pane, self.job = pane, job

    class Looked(Message):
        """A look is over."""

        def __init__(self, changed: list[Job], told: list[Job]) -> None:
            super().__init__()
            self.changed, self.told = changed, told

    def __init__(
        self,
        kinds: Sequence[str],
        *,
        words: Words,
        empty: str,
        doing: Words = lambda job: (),
        label: str = "Work",
        digit: str = "",
        id: str | None = None,  # noqa: A002
        classes: str | None = None,
    ) -> None:
        super().__init__(id=id, classes=classes)
        self._jobs = Jobs(kinds)
        self._words, self._nothing, self._doing = words, empty, doing
        self.label, self.digit = label, digit  # type: ignore[misc]  # of this one
        self._looking = False

    # -- what there is -----------------------------------------------------------------------------------------

    @property
    def jobs(self) -> list[Job]:
        """The jobs, those at work first, then the newest."""
        return self._jobs.jobs

    @property
    def running(self) -> list[Job]:
        """Those at work."""
        return self._jobs.running

    def status(self, job: Job) -> Status:
        """Return how a job was doing at the last look."""
        return self._jobs.status(job)

    @property
    def chosen(self) -> Job | None:
        """The one under the cursor."""
        return self._chosen()

    @property
    def meta(self) -> Row:
        """How many are at work."""
        count = len(self.running)
        if not count:
            return []
        return [*R("accent", "● ", "ink", f"{count} at work"), *(R("accent", "   x", "quiet", " cancels"))]

    # -- looking -----------------------------------------------------------------------------------------------

    def on_mount(self) -> None:
        """Begin to look."""
        self.set_interval(_EVERY, self.look)
        self.look()

    def look(self) -> None:
        """Find out in a thread how the jobs are doing."""
        if self._looking or not self.is_attached:
            return
        self._looking = True
        self.run_worker(self._look, thread=True, group="jobs", exit_on_error=False, description="read what jobs tell")

    def _look(self) -> None:
        changed: list[Job] = []
        told: list[Job] = []
        try:
            changed, told = self._jobs.look()
        finally:
            self.post_message(self.Looked(changed, told))

    def on_jobs_pane_looked(self, message: Looked) -> None:
        """Show what has changed."""
        message.stop()
        self._looking = False
        self.take(self.jobs)
        # By itself: Textual lets a message that was made on behalf of another go no further than to that.
        for job in message.told:
            self.call_later(self.post_message, self.Told(self, job))
        for job in message.changed:
            self.call_later(self.post_message, self.Changed(self, job))

    # -- drawing -----------------------------------------------------------------------------------------------

    def nothing(self) -> str:
        """Return what is said where no job was begun."""
        return self._nothing

    def lines_of(self, item: Job, width: int, *, chosen: bool, opened: bool) -> list[Row]:
        """Return the rows of a job: one for an old one, more for one at work, all for the opened one."""
        status, pace = self._jobs.status(item), self._jobs.paces.get(item.id)
        head = head_row(item, status, self._jobs.ended.get(item.id), width)
        newest = bool(self.jobs) and item is self.jobs[0]
        said = self._words(item) if item.result is not None else ()
        brief = not newest and status != "running"
        rows = job_rows(item, status, pace, said, width, whole=opened, brief=brief, doing=self._doing(item))
        log = item.last_words(_LOG) if opened else []
        return [head, *rows, *([R("quiet", f"  {clean_line(line)}") for line in log])]

    def text_of(self, item: Job) -> str:
        """Return the command of a job and what came of it."""
        error = item.error or {}
        said = self._words(item) if item.result is not None else ()
        parts = [shlex.join(["tuitune", *item.argv]), *said, *item.notes, error.get("message"), error.get("hint")]
        return clean("\n".join(str(part) for part in [*parts, *item.last_words()] if part))

    # -- what is done ------------------------------------------------------------------------------------------

    def begin(self, kind: str, title: str, argv: Sequence[str], *, cwd: Path | None = None) -> None:
        """Start a command; why it cannot be started is said."""

        def begun(job: Job) -> None:
            self._jobs.add(job)
            self._at = 0
            if self.is_attached:
                self.take(self.jobs)
                self.look()

        self.app.in_thread("job-begin", lambda: Job.start(kind, title, argv, cwd=cwd), begun)

    def action_cancel(self) -> None:
        """Ask whether to end the job under the cursor, or the one at work."""
        chosen = self.chosen
        job = chosen if chosen in self.running else next(iter(self.running), None)
        if job is None:
            self.app.say("nothing is at work here")
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.app.in_thread("job-cancel", job.cancel, lambda _: self.look())

        facts = [f"{job.title}.", "It ends as ctrl+c would end the command."]
        choices: list[Choice[bool]] = [
            Choice("esc", "Let it go on", "", None),
            Choice("x", "Cancel it", "it ends where it stands", True),
        ]
        self.app.push_screen(Ask("Cancel the work?", facts, choices), answered)

    def action_forget(self) -> None:
        """Leave an ended job out from now on."""
        job = self.chosen
        if job is None:
            return
        if job in self.running:
            self.app.say("it is at work: x cancels it")
            return

        def work() -> Job:
            job.forget()
            return job

        def done(gone: Job) -> None:
            self._jobs.drop(gone)
            self.restart(self.jobs)

        self.app.in_thread("job-forget", work, done)
