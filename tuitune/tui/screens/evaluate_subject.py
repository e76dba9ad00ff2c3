"""Whom the Evaluate screen is about: the subject, what is known of it, and whether a job of ours is at it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.errors import RecipeError
from tuitune.run.job import Job
from tuitune.tui.evaluating import at_work_on, begun_in, history, recipe_values
from tuitune.tui.panes.eval_setup import SetupPane
from tuitune.tui.panes.jobs import JobsPane
from tuitune.tui.screens.starting import StartsLater
from tuitune.tui.subjects import default_subject, typed

if TYPE_CHECKING:
    from tuitune.tui.screens.evaluate import EvaluateScreen


@dataclass(frozen=True)
class _Known:
    """A subject with what was evaluated of it, the recipe it was trained by, and how one would type it."""

    subject: str | None
    folders: list[Path] = field(default_factory=list)
    values: dict[str, object] = field(default_factory=dict)
    typed: str = ""


class EvaluateSubject(StartsLater):
    """The subject; a part of the screen."""

    if TYPE_CHECKING:

        def open(self, folder: Path | None) -> None:
            """Show an evaluation."""

    @property
    def _me(self) -> EvaluateScreen:
        return self  # type: ignore[return-value]

    def begin_subject(self, subject: str | None) -> None:
        """Be about a subject, or about the one that is found."""
        self.subject, self._typed = subject, ""
        self.folders: list[Path] = []
        self._job: Job | None = None  # the one whose evaluation is shown while it is at work
        self._values: dict[str, object] = {}

    @property
    def at_work(self) -> bool:
        """Whether this subject is being evaluated."""
        return bool(self._me.query(JobsPane)) and self._own_job() is not None

    def given_settings(self) -> list[str]:
        """Return the settings as the command takes them; those that are wrong are said elsewhere."""
        try:
            return self._me.options.settings()
        except RecipeError:
            return []

    def look_for_subject(self) -> None:
        """Find out in a thread whom the screen is about, and what is known of it."""
        app, subject = self._me.app, self.subject

        def look() -> _Known:
            word = subject or self._shown_last() or at_work_on() or default_subject(app)
            return _Known(word) if word is None else _Known(word, history(word), recipe_values(word), typed(word))

        def show(found: _Known) -> bool:
            self._know(found)
            return True

        self.find_subject("evaluate-subject", look, show)

    def _shown_last(self) -> str | None:
        """Return whom the screen was about when it was left, unless another run was begun or opened since."""
        word, run = self._me.app.evaluated
        there = word is not None and (not Path(word).is_absolute() or Path(word).exists())
        return word if there and run == self._run_of_app() else None

    def _run_of_app(self) -> str:
        run = self._me.app.control.run
        return "" if run is None else str(run.path)

    def _know(self, known: _Known) -> None:
        setup = self._me.query_one(SetupPane)
        self._me.app.evaluated = known.subject, self._run_of_app()
        self.subject, self._typed, self.folders = known.subject, known.typed, known.folders
        if setup.subject != known.subject:
            setup.set_subject(known.subject)
        setup.know(known.values, known.typed)
        setup.check_data()
        self._about(known.values)
        job = self._own_job()
        place = begun_in(job.lines) if job is not None else None
        self._job = job
        self.open(place or (self.folders[0] if self.folders else None))
        self._me.app.note_focus()  # what the keys do depends on what is at work

    def _about(self, values: dict[str, object]) -> None:
        drawn = self._me.query_one(SetupPane).asked.answers == "drawn"
        self._me.options.about({**values, "do_sample": drawn})
        self._values = values

    def follow_asked(self) -> None:
        """Take notice of what is asked for now."""
        subject = self._me.query_one(SetupPane).subject
        if subject != self.subject:
            self.subject, self._typed = subject, ""
            self.look_for_subject()
        else:
            self._about(self._values)

    def _own_job(self) -> Job | None:
        """Return the job at work that evaluates this subject."""
        found = self._me.query_one(JobsPane).running
        return next((job for job in found if len(job.argv) > 1 and job.argv[1] in (self.subject, self._typed)), None)
