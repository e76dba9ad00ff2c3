"""The Evaluate screen: is the tuned model better than its base, how sure is that, and where is it not."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.events import DescendantFocus, Resize
from textual.screen import Screen
from textual.widget import Widget

from tuitune.tui.actions import in_view
from tuitune.tui.keys import Entry, KeysLine
from tuitune.tui.kit.pane import DrawnPane, Pane
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
    ("Rows and device", ("cutoff_len", "tokens_per_batch", "device")),
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


class EvaluateScreen(EvaluateState, EvaluateActions, Screen[None]):
    """What is asked for, results, rows and answers; below 100 columns one of them at a time."""

    VERTICAL_BREAKPOINTS = [(0, "-low"), (32, "-middle"), (46, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(digit, f"pane('{name}')", f"{label} pane", show=False, id=f"evaluate.{name}", tooltip=f"to {label}")
            for name, digit, label in TABS
        ),
        *(Binding(key, action, title, show=False, id=name, tooltip=tooltip)
          for key, action, title, name, tooltip in _KEYS),
    ]  # fmt: skip
    if TYPE_CHECKING:
        app: TuiTune

    def __init__(self, subject: str | None = None) -> None:
        super().__init__()
        self.tab, self.zoomed = "setup", False
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
        if self not in self.app.screen_stack:
            return  # left before it was laid out
        self.place_panes()
        self.query_one(SetupPane).focus_first()
        self.query_one(SetupPane).settings = self.given_settings
        self.options.subscribe(self.query_one(SetupPane).redraw)
        self.look_for_subject()
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

    @property
    def narrow(self) -> bool:
        """Whether there is room for one pane only."""
        return self.size.width < 100

    def on_resize(self, event: Resize) -> None:
        """Choose what fits."""
        if self not in self.app.screen_stack:
            return
        self.place_panes()
        self.call_after_refresh(self._redraw)

    def _redraw(self) -> None:
        for pane in self.query("Pane, DrawnPane"):
            if isinstance(pane, Pane):
                pane.retitle()
            elif isinstance(pane, DrawnPane):
                pane.redraw()

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Bring the pane with the keys to the front where not all of them show."""
        for name, _, _ in TABS:
            pane = self.pane(name)
            if name != self.tab and (event.widget is pane or pane in event.widget.ancestors):
                self.tab = name
                self.place_panes()
        self.app.note_focus()

    def pane(self, name: str) -> Pane | DrawnPane:
        """Return a pane by the name of its tab."""
        found = self.query_one(f".{name}.place")
        assert isinstance(found, Pane | DrawnPane)
        return found

    def place_panes(self) -> None:
        """Tell the style sheet what shows where."""
        self.set_class(self.narrow or self.zoomed, "-one")
        self.set_class(self.tab in _BROWSED, "-browse")
        for name, _, _ in TABS:
            self.pane(name).set_class(name == self.tab, "-active")
        self.query_one(".asked").set_class(self.tab in ("setup", "options", "jobs"), "-active")
        self.query_one(Tabs).show(self.tab)

    def action_pane(self, name: str) -> None:
        """Go to a pane."""
        shown, self.tab = in_view(self.pane(name)), name
        self.place_panes()
        if shown:
            self.set_focus(self._first(name))  # at once: the next key may be on its way
        else:
            self.call_after_refresh(lambda: self.set_focus(self._first(name)))

    def _first(self, name: str) -> Widget:
        """Return the widget of a pane that has its keys."""
        match self.pane(name):
            case PredictionsPane() as rows:
                return rows.list
            case OptionsPane() as options:
                return options.form
            case pane:
                return pane

    def on_tabs_chosen(self, message: Tabs.Chosen) -> None:
        """Go to the tab that was clicked."""
        self.action_pane(message.name)

    def action_zoom(self) -> None:
        """Show the pane with the keys alone, or all of them again."""
        if self.narrow:
            self.app.say("one pane shows at a time here; 1 to 6 change it")
            return
        self.zoomed = not self.zoomed
        self.place_panes()
