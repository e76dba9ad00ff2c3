"""What the Evaluate screen shows: an evaluation of its subject, and what the job tells that is at it now."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

from tuitune.errors import RunError
from tuitune.run.evaluation import Evaluation
from tuitune.run.evaluations import RESULTS
from tuitune.run.job import Job
from tuitune.tui.evaluating import Found, begun_elsewhere, begun_in, load, with_lines
from tuitune.tui.panes.eval_answers import AnswersOfRow
from tuitune.tui.panes.eval_results import ResultsPane
from tuitune.tui.panes.eval_rows import PredictionsPane
from tuitune.tui.panes.jobs import JobsPane
from tuitune.tui.screens.evaluate_subject import EvaluateSubject
from tuitune.tui.screens.evaluate_words import Said, what_to_do

_ROWS_EVERY = 2.0  # seconds between two looks at the rows of an evaluation in progress
_OTHERS_EVERY = 5.0  # seconds between two looks for evaluations that others begin
_SHARE = 10  # how many times as long as a look the pause after it lasts at least


class EvaluateState(EvaluateSubject):
    """The evaluations of the subject; a part of the screen."""

    def begin_state(self, subject: str | None) -> None:
        """Be about a subject, or about the one that is found."""
        self.begin_subject(subject)
        self.found: Found | None = None
        self._read_at = 0.0
        self._reading, self._pause = False, _ROWS_EVERY
        self._seen: set[Path] = set()
        self._looking = False

    # -- what others do ----------------------------------------------------------------------------------------

    def watch_others(self) -> None:
        """Look now and again whether a command of another terminal evaluates the subject."""
        self._me.set_interval(_OTHERS_EVERY, self._look_for_others)

    def _look_for_others(self) -> None:
        subject = self.subject
        if subject is None or self._looking or self._job is not None or not self._me.is_current:
            return
        self._looking = True
        self._seen.update(self.folders)

        def look() -> list[Path]:
            try:
                return begun_elsewhere(subject, self._seen)
            finally:
                self._looking = False

        self._me.app.in_thread("evaluate-others", look, lambda found: self._begun_elsewhere(subject, found))

    def _begun_elsewhere(self, subject: str, found: list[Path]) -> None:
        if not found or subject != self.subject or self.at_work:
            return
        self.folders = sorted({*self.folders, *found}, key=lambda each: each.name, reverse=True)
        if self.found is None:
            self.open(found[0])
        else:  # what is being read stays
            self._show()
            self._me.app.say("another terminal evaluates this model now: e shows it")

    # -- which evaluation --------------------------------------------------------------------------------------

    def open(self, folder: Path | None) -> None:
        """Show an evaluation, read in a thread; None says what to do."""
        if folder is None:
            self.found = None
            self._show()
            return
        if self._reading:
            self._me.set_timer(0.1, lambda: self.open(folder))
            return
        self._reading, self._read_at = True, time.monotonic()

        def read() -> Found | None:
            began = time.monotonic()
            try:
                found = load(folder)
                self._pause = max(_ROWS_EVERY, _SHARE * (time.monotonic() - began))
                return found
            except RunError:
                if self._job is None:
                    raise
                return None  # the folder of an evaluation is there before its results are
            finally:
                self._reading = False

        def shown(found: Found | None) -> None:
            if found is not None and self._me.is_attached:
                self.found = found
                self._merge()
                self._show()
                self._look_again(found.evaluation)

        self._me.app.in_thread("evaluate-read", read, shown)

    def _look_again(self, shown: Evaluation) -> None:
        """Read it again after a while where a command of another terminal is at it: nobody tells of that."""
        if shown.status == "running" and self._job is None:
            self._me.set_timer(self._pause, lambda: self.open(shown.path) if self._still(shown) else None)

    def _still(self, shown: Evaluation) -> bool:
        now = self.found.evaluation if self.found is not None else None
        return self._me.is_attached and self._job is None and now is not None and now.path == shown.path

    def _show(self) -> None:
        found, screen = self.found, self._me
        results = screen.query_one(ResultsPane)
        path = found.evaluation.path if found is not None else None
        if path is not None and path not in self.folders:
            self.folders = sorted({*self.folders, path}, key=lambda each: each.name, reverse=True)
        at = self.folders.index(path) + 1 if path in self.folders else 0
        results.say(self._what_to_do)
        # What a job of ours tells is shown by the Work pane.
        results.show(found and replace(found, reached=None if self._job else found.reached), at, len(self.folders))
        screen.query_one(PredictionsPane).show(found)
        self.show_row()

    def show_row(self) -> None:
        """Show the row under the cursor of the list."""
        rows = self._me.query_one(PredictionsPane)
        item = rows.item
        where = f"{rows.list.at + 1:,} of {len(rows.list.items):,}" if item is not None else ""
        self._me.query_one(AnswersOfRow).show(self.found, item, where)

    @property
    def _what_to_do(self) -> list[Said]:
        return what_to_do(self.subject, self._me.query_one(JobsPane).running, followed=self._job is not None)

    def step(self, by: int) -> None:
        """Show the evaluation `by` places older."""
        path = self.found.evaluation.path if self.found is not None else None
        if path not in self.folders:
            return
        at = self.folders.index(path) + by
        if 0 <= at < len(self.folders):
            self._job = None
            self.open(self.folders[at])
        else:
            self._me.app.say("this is the oldest one" if by > 0 else "this is the newest one")

    # -- the job -----------------------------------------------------------------------------------------------

    def job_changed(self, job: Job) -> None:
        """Follow a job that has begun, and show what came out of one that ended."""
        self._me.app.note_focus()
        status = self._me.query_one(JobsPane).status(job)
        if status == "running":
            if self._own_job() is job:
                self._job = job
                self._merge()
            self._show()
            return
        ended, self._job = self._job, None if self._job is job else self._job
        self._me.query_one(ResultsPane).say(self._what_to_do)
        place = begun_in(job.lines) or _path_of(job)
        if status == "done":
            self._me.app.say(f"{job.title} is done")
        if ended is job or (place is not None and place in self.folders):
            self._open_or_next(place)

    def _open_or_next(self, place: Path | None) -> None:
        """Show what a job has left; one that failed or was cancelled early left nothing: what was there shows again."""
        if place is None or not (place / RESULTS).is_file():
            self.folders = [each for each in self.folders if each != place]
            shown = self.found.evaluation.path if self.found is not None else None
            place = shown if shown in self.folders else next(iter(self.folders), None)
        self.open(place)

    def job_told(self, job: Job) -> None:
        """Show the figures that have become final, and now and then the rows."""
        if job is not self._job:
            return
        place = begun_in(job.lines)
        if place is None:
            return
        shown = self.found.evaluation.path if self.found is not None else None
        if shown != place or time.monotonic() - self._read_at > self._pause:
            if not self._reading:
                self.open(place)
        elif self._merge():
            self._show()

    def _merge(self) -> bool:
        """Put what the job has told into what is shown of its evaluation; return whether that is news."""
        job, found = self._job, self.found
        if job is None or found is None or begun_in(job.lines) != found.evaluation.path:
            return False
        evaluation = with_lines(found.evaluation, job.lines)
        self.found = replace(found, evaluation=evaluation)
        return evaluation.metrics != found.evaluation.metrics


def _path_of(job: Job) -> Path | None:
    found = (job.result or {}).get("path")
    return Path(found) if isinstance(found, str) else None
