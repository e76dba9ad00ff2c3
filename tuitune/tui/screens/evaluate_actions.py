"""What the keys of the Evaluate screen do."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.errors import RunError
from tuitune.run import evaluations
from tuitune.run.job import Job
from tuitune.tui.asking import PickItem
from tuitune.tui.evaluating import Found, interrupted, meant
from tuitune.tui.panes.eval_answers import AnswersOfRow
from tuitune.tui.panes.eval_results import ResultsPane
from tuitune.tui.panes.eval_rows import PredictionsPane
from tuitune.tui.panes.eval_setup import SetupPane
from tuitune.tui.panes.eval_table import number
from tuitune.tui.panes.jobs import JobsPane
from tuitune.tui.picking import pick
from tuitune.tui.subjects import named

if TYPE_CHECKING:
    from tuitune.tui.screens.evaluate import EvaluateScreen

_WITH = {"reference": "the reference", "base": "the base's answer", "nothing": "nothing"}
_MAIN = ("loss", "exact_match", "average")  # figures that tell evaluations apart in a list


class EvaluateActions:
    """The actions; a part of the screen."""

    @property
    def _screen(self) -> EvaluateScreen:
        return self  # type: ignore[return-value]

    def action_start(self) -> None:
        """Evaluate what is asked for."""
        screen = self._screen
        setup = screen.query_one(SetupPane)
        subject, asked = setup.subject, setup.asked
        if subject is None:
            if not screen.starts_later():
                setup.choose_subject()
            return
        if screen.settings_ready(screen.options):
            self._begin(subject, asked.argv(subject, screen.options.settings()))

    def _begin(self, subject: str, argv: list[str]) -> None:
        screen = self._screen
        own = subject == screen.subject and screen.at_work
        if own or any(job.argv[1:2] == (subject,) for job in screen.query_one(JobsPane).running):
            screen.app.say(f"{named(subject)} is being evaluated already; x cancels that", "warning")
            return
        screen.query_one(JobsPane).begin("evaluate", f"evaluate {named(subject)}", argv)
        if screen.narrow:
            screen.action_pane("jobs")

    def action_resume(self) -> None:
        """Go on with the evaluation that is shown, as it was asked for then; where that is done, ask with which."""
        screen = self._screen
        shown = screen.found.evaluation if screen.found is not None else None
        if shown is not None and shown.status == "interrupted":
            self._resume(str(shown.path))
            return
        pick(screen.app, "Go on with which evaluation?", lambda: list(map(_item, interrupted(screen.folders))),
             self._resume, group="evaluate-list", nothing="no evaluation of this model was interrupted")  # fmt: skip

    def _resume(self, folder: str) -> None:
        path = Path(folder)
        others = [each for each in self._screen.folders if each != path]
        self._screen.app.in_thread(
            "evaluate-resume", lambda: (meant(evaluations.read(path).subject), path.name, len(interrupted(others))),
            lambda found: self._go_on(*found),
        )  # fmt: skip

    def _go_on(self, subject: str, name: str, others: int) -> None:
        screen = self._screen
        if subject != screen.subject:  # a checkpoint of the run that is chosen
            screen.query_one(SetupPane).set_subject(subject)
        if others:
            screen.app.say(f"goes on with {name}; {others} more {'was' if others == 1 else 'were'} interrupted: e")
        self._begin(subject, ["evaluate", subject, "--resume", "--name", name])

    def action_whom(self) -> None:
        """Choose the subject."""
        self._screen.query_one(SetupPane).choose_subject()

    def action_cancel(self) -> None:
        """End the evaluation in progress, after a question."""
        self._screen.query_one(JobsPane).action_cancel()

    def action_earlier(self) -> None:
        """Choose among the evaluations of the subject."""
        screen = self._screen
        if not screen.folders:
            screen.app.say("this model was not evaluated yet: s starts")
            return
        now = str(screen.found.evaluation.path) if screen.found is not None else None
        pick(screen.app, "Which evaluation?", lambda: [_item(path) for path in screen.folders],
             lambda path: screen.open(Path(path)), group="evaluate-list", chosen=now)  # fmt: skip

    def action_next(self, by: int) -> None:
        """Go to another row of the list."""
        self._screen.query_one(PredictionsPane).list.action_move(by)

    def action_order(self) -> None:
        """Choose which rows come first."""
        self._screen.query_one(PredictionsPane).choose_order()

    def action_filter(self) -> None:
        """Choose which rows are listed."""
        self._screen.query_one(PredictionsPane).choose_filter()

    def action_search(self) -> None:
        """Go to the line to search with."""
        self._screen.tab = "predictions"
        self._screen.place_panes()
        self._screen.call_after_refresh(self._screen.query_one(PredictionsPane).line.focus)

    def action_compare(self) -> None:
        """Compare answers with something else."""
        self._screen.app.say(f"answers are compared with {_WITH[self._screen.query_one(AnswersOfRow).compare()]}")

    def action_subjects(self) -> None:
        """Show benchmarks by subject, or not."""
        if self._screen.query_one(ResultsPane).toggle_subjects():
            self._screen.action_pane("results")
        else:
            self._screen.app.say("no benchmark with subjects was asked: name one in the settings, such as mmlu_test")

    def action_back(self) -> None:
        """End the zoom, leave the rows where they hide the rest, else leave."""
        screen = self._screen
        if screen.zoomed and not screen.narrow:
            screen.action_zoom()
        elif screen.tab == "answers":
            screen.action_pane("predictions")
        elif screen.tab == "predictions":
            screen.action_pane("results")
        else:
            screen.app.pop_screen()


def words_of(job: Job) -> list[str]:
    """Return what a job has found, in sentences."""
    found = (job.result or {}).get("sentences", ())
    return [str(each) for each in found] if isinstance(found, list | tuple) else []


def _item(path: Path) -> PickItem:
    try:
        found = evaluations.read(path)
    except RunError:
        return PickItem(str(path), path.name, "cannot be read")
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(found.created))
    subject = found.models[0].key if found.models else ""
    figures = [f"{metric.title} {number(metric.values[subject].value, metric.unit)}"
               for key in _MAIN for metric in found.metrics
               if metric.key == key and subject in metric.values]  # fmt: skip
    state = "" if found.status == "done" else found.status
    checkpoint = f"  {Found(found).checkpoint}" if Found(found).checkpoint else ""
    return PickItem(str(path), f"{when}  {found.name}{checkpoint}", "  ".join([*filter(None, [state]), *figures[:2]]))
