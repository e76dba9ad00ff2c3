"""The Evaluate screen: is the tuned model better than its base, how sure is that, and where is it not."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Vertical
from textual.widget import Widget

from tuitune.tui.keys import Entry, KeysLine
from tuitune.tui.optiondraft import OptionDraft
from tuitune.tui.panes.eval_answers import AnswersOfRow
from tuitune.tui.panes.eval_list import PredictionList
from tuitune.tui.panes.eval_results import ResultsPane
from tuitune.tui.panes.eval_rows import PredictionsPane
from tuitune.tui.panes.eval_setup import SetupPane
from tuitune.tui.panes.jobs import JobsPane
from tuitune.tui.panes.options import OptionsPane
from tuitune.tui.screens.evaluate_actions import EvaluateActions, words_of
from tuitune.tui.screens.evaluate_state import EvaluateState
from tuitune.tui.screens.paned import PanedScreen, bindings
from tuitune.tui.status import Status, Tabs

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

TABS = (
    ("setup", "1", "Evaluate"), ("options", "2", "Settings"), ("results", "3", "Results"), ("predictions", "4", "Rows"),
    ("answers", "5", "Answers"), ("jobs", "6", "Work"),
)  # fmt: skip
_BROWSED = ("predictions", "answers")  # panes that have the middle widths to themselves
_SECTIONS = (
    ("Benchmarks", ("task", "task_dir", "n_shot", "lang", "batch_size")),
    ("Answers", ("max_new_tokens", "temperature", "top_p", "top_k", "repetition_penalty")),
    ("Rows and device", ("dataset_dir", "cutoff_len", "tokens_per_batch", "device")),
)
_IDLE = "s starts; what runs goes on without this screen, and shows here"
_KEYS = (
    ("s", "start", "Start", "evaluate.start", "evaluate what is asked for"),
    ("w", "whom", "Which model", "evaluate.whom", "choose the run, checkpoint or adapter"),
    ("r", "resume", "Go on", "evaluate.resume", "go on with the evaluation that was interrupted"),
    ("x", "cancel", "Cancel", "evaluate.cancel", "end the evaluation in progress; asks"),
    ("e", "earlier", "Earlier ones", "evaluate.earlier", "choose among the evaluations of this model"),
    ("n", "next(1)", "Next row", "evaluate.next", "the next row of the list"),
    ("p", "next(-1)", "Previous row", "evaluate.previous", "the row before"),
    ("o", "order", "Order", "evaluate.order", "which rows come first"),
    ("f", "filter", "Filter", "evaluate.filter", "only a benchmark, a subject, or cut answers"),
    ("slash", "search", "Search", "evaluate.search", "search prompts, references and answers"),
    ("d", "compare", "Differences", "evaluate.compare", "compare answers with the reference, the base, or nothing"),
    ("b", "subjects", "By subject", "evaluate.subjects", "benchmarks by subject"),
    ("z,f2", "zoom", "Zoom", "evaluate.zoom", "this pane alone, or all of them again"),
    ("escape", "back", "Back", "evaluate.back", "back to where you came from"),
)


class EvaluateScreen(EvaluateState, EvaluateActions, PanedScreen):
    """What is asked for, results, rows and answers; below 100 columns one of them at a time."""

    CSS_PATH = "evaluate.tcss"
    TABS = TABS
    BINDINGS: ClassVar[list[BindingType]] = bindings("evaluate.", TABS, _KEYS)
    if TYPE_CHECKING:
        app: TuiTune

    def __init__(self, subject: str | None = None) -> None:
        super().__init__("setup")
        self.options = OptionDraft("evaluate", "evaluate", _SECTIONS)
        self.begin_state(subject)

    def compose(self) -> ComposeResult:
        """Lay out the panes; where they stand is told by the style sheet."""
        yield Status(self.app.draft)
        yield Tabs(TABS)
        with Container(id="evaluate"):
            with Vertical(classes="asked"):
                yield SetupPane(classes="setup place")
                yield OptionsPane(self.options, digit="2", classes="options place")
                yield JobsPane(("evaluate",), words=words_of, empty=_IDLE, digit="6", classes="jobs place")
            yield ResultsPane(classes="results place")
            yield PredictionsPane(classes="predictions place")
            yield AnswersOfRow(classes="answers-row answers place")
        yield KeysLine(id="keys")

    def on_mount(self) -> None:
        """Find out whom it is about and what was evaluated before."""
        if self.left:
            return
        self.place_panes()
        self.query_one(SetupPane).focus_first()
        self.query_one(SetupPane).settings = self.given_settings
        self.options.subscribe(self.query_one(SetupPane).redraw)
        self.look_for_subject()
        self.watch_others()
        self.app.note_focus()

    # -- what is shown -----------------------------------------------------------------------------------------

    @property
    def keys(self) -> list[Entry]:
        """The keys worth knowing here."""
        first: Entry = ("x", "cancel", "screen.cancel") if self.at_work else ("s", "start", "screen.start")
        rows: list[Entry] = [("o", "order", "screen.order"), ("/", "search", "screen.search"),
                             ("d", "differences", "screen.compare"), ("n p", "row", "screen.next(1)")]  # fmt: skip
        whole: list[Entry] = [("w", "which model", "screen.whom"), ("e", "earlier", "screen.earlier"),
                              ("b", "by subject", "screen.subjects")]  # fmt: skip
        browsing = self.tab in _BROWSED
        last: list[Entry] = [("esc", "back", "screen.back"), ("f1", "help", "help_here")]
        return [first, *(rows if browsing else whole), *last, *(whole if browsing else rows)]

    def on_prediction_list_moved(self, message: PredictionList.Moved) -> None:
        """Show the answers to the row under the cursor."""
        message.stop()
        self.show_row()

    def on_prediction_list_opened(self, message: PredictionList.Opened) -> None:
        """Go to the answers."""
        message.stop()
        self.action_pane("answers")

    def on_results_pane_opened(self, message: ResultsPane.Opened) -> None:
        """Go to the rows behind a figure."""
        message.stop()
        if not self.query_one(PredictionsPane).by_metric(message.metric):
            self.app.say("no row has a score of its own for this figure")
        self.action_pane("predictions")

    def on_results_pane_older(self, message: ResultsPane.Older) -> None:
        """Show another evaluation."""
        message.stop()
        self.step(message.by)

    def on_setup_pane_changed(self, message: SetupPane.Changed) -> None:
        """Follow the subject."""
        message.stop()
        self.follow_asked()

    def on_jobs_pane_changed(self, message: JobsPane.Changed) -> None:
        """Show what has begun, and what has come out."""
        message.stop()
        self.job_changed(message.job)

    def on_jobs_pane_told(self, message: JobsPane.Told) -> None:
        """Show how far it is."""
        message.stop()
        self.job_told(message.job)

    # -- where things stand ------------------------------------------------------------------------------------

    def stand(self) -> None:
        """Give rows and answers the whole width, and show the side that has the pane where only one shows."""
        self.set_class(self.tab in _BROWSED, "-browse")
        self.query_one(".asked").set_class(self.tab in ("setup", "options", "jobs"), "-active")

    def give_keys(self, name: str) -> None:
        """Let a pane have the keys at once: the next one may be on its way."""
        self.set_focus(self._first(name))

    def _first(self, name: str) -> Widget:
        """Return the widget of a pane that has its keys."""
        match self.pane(name):
            case PredictionsPane() as rows:
                return rows.list
            case OptionsPane() as options:
                return options.form
            case pane:
                return pane
