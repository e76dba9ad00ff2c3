"""The Runs screen: every run, the curves of several over each other, what differs between them, all about one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from tuitune.run.shelf import Entry
from tuitune.tui.keys import Entry as Key
from tuitune.tui.keys import KeysLine
from tuitune.tui.panes.runs_differs import DiffersPane
from tuitune.tui.panes.runs_facts import FactsPane
from tuitune.tui.panes.runs_list import RunsPane
from tuitune.tui.panes.runs_overlay import OverlayPane
from tuitune.tui.panes.runs_table import RunTable
from tuitune.tui.screens.paned import PanedScreen, bindings
from tuitune.tui.screens.runs_actions import RunsActions
from tuitune.tui.screens.runs_keep import KeepActions
from tuitune.tui.screens.runs_seen import seen_of
from tuitune.tui.screens.runs_show import RunsShow
from tuitune.tui.screens.runs_trash import TrashActions
from tuitune.tui.status import Status, Tabs

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

_BEAT = 1.0  # seconds between two looks at live runs
TABS = (("list", "1", "Runs"), ("curves", "2", "Curves"), ("differs", "3", "Differs"), ("facts", "4", "Run"))
_KEYS = (
    ("slash", "search", "Search", "runs.search", "names, models, data, tags, notes"),
    ("f", "filter", "Filter", "runs.filter", "only some states, stages or tags"),
    ("s", "sort", "Sort", "runs.sort", "by loss, evaluation, duration, ..."),
    ("o", "turn", "Turn round", "runs.turn", "the order the other way round"),
    ("a", "all", "Mark all", "runs.all", "mark all that are listed, or none"),
    ("x", "across", "Axis", "runs.x", "steps, time or tokens along the foot"),
    ("l", "log", "Log scale", "runs.log", "logarithmic or linear values"),
    ("p", "smooth", "Smoothing", "runs.smooth", "as logged, or .6, .9, .97 of the past"),
    ("E", "kinds", "Evaluations", "runs.kinds", "training, evaluations, or both"),
    ("m", "figure", "Figure", "runs.figure", "another figure of the stage as the curve"),
    ("n", "clone", "New from this", "runs.clone", "its recipe for a new run"),
    ("r", "resume", "Resume", "runs.resume", "go on from its newest checkpoint"),
    ("X", "stop", "Stop", "runs.stop", "stop a live run; asks"),
    ("c", "chat", "Chat", "runs.chat", "ask its weights"),
    ("b", "beside", "Compare", "runs.compare", "two marked runs, else its answers beside those of its base"),
    ("v", "go('evaluate')", "Evaluate", "runs.evaluate", "is it better than its base?"),
    ("e", "go('export')", "Export", "runs.export", "merge, quantise, GGUF, push"),
    ("S", "go('serve')", "Serve", "runs.serve", "an OpenAI-style server"),
    ("w", "note", "Note", "runs.note", "write a note"),
    ("t", "tags", "Tags", "runs.tag", "tags of the run, or of all marked ones"),
    ("d,delete", "delete", "To the trash", "runs.delete", "the run, or all marked ones"),
    ("u", "undo", "Take back", "runs.undo", "what was deleted last comes back"),
    ("T", "trash", "Trash", "runs.trash", "restore, or delete for good"),
    ("i", "import", "Import", "runs.import", "what LLaMA-Factory or transformers trained"),
    ("z,f2", "zoom_pane", "Zoom", "runs.zoom", "this pane alone, or all of them again"),
    ("escape", "back", "Back", "runs.back", "back to where you came from"),
)


class RunsScreen(RunsShow, RunsActions, KeepActions, TrashActions, PanedScreen):
    """List, curves, differences and facts; below 100 columns one of them at a time."""

    CSS_PATH = "runs.tcss"
    TABS = TABS
    AUTO_FOCUS = "RunTable"  # else the search line has the keys until the screen is mounted
    BINDINGS: ClassVar[list[BindingType]] = bindings("runs.", TABS, _KEYS)
    if TYPE_CHECKING:
        app: TuiTune

    def __init__(self, subject: str | None = None) -> None:
        super().__init__()
        seen = self._seen = seen_of(self.app)
        self.desk, self.curves, self.undoable = seen.desk, seen.curves, seen.undoable
        self.figure = seen.figure  # what the curves show; None: what tells most of the first
        self.subject = subject if subject is not None else seen.path
        self.runs_pane = RunsPane(classes="list place")
        self.overlay = OverlayPane(classes="curves place")
        self.differs = DiffersPane(classes="differs place")
        self.facts = FactsPane(classes="facts place")

    def compose(self) -> ComposeResult:
        """Lay out the panes; where they stand is told by the style sheet."""
        yield Status(self.app.draft)
        yield Tabs(TABS)
        with Container(id="runs"):
            yield self.runs_pane
            yield self.overlay
            yield self.differs
            yield self.facts
        yield KeysLine(id="keys")

    def on_mount(self) -> None:
        """Show it as it was left, read the list, and look at it again from time to time."""
        pane, seen = self.runs_pane, self._seen
        pane.wanted, pane.order, pane.turned, pane.line.value = seen.wanted, seen.order, seen.turned, seen.search
        pane.table.marks, self.overlay.look = list(seen.marks), seen.look
        for curve in self.curves.values():
            curve.read()  # a few lines: what was logged while the screen was away
        self.place_panes()
        pane.focus_first()
        self.show_known(seen.entries)
        self.look()
        self.set_interval(_BEAT, self.beat)
        self.app.note_focus()

    def on_unmount(self) -> None:
        """Keep how it was left."""
        pane, seen = self.runs_pane, self._seen
        seen.wanted, seen.order, seen.turned, seen.search = pane.wanted, pane.order, pane.turned, pane.line.value
        seen.entries = pane.all
        seen.marks, seen.look, seen.figure = list(pane.table.marks), self.overlay.look, self.figure
        seen.undoable, seen.path = self.undoable, self.entry.path if self.entry is not None else None

    @property
    def keys(self) -> list[Key]:
        """The keys worth knowing here."""
        keys: list[Key] = [
            ("enter", "open", "screen.open"), ("space", "mark", "screen.mark"), ("/", "search", "screen.search"),
            ("s", "sort", "screen.sort"), ("f", "filter", "screen.filter"), ("esc", "back", "screen.back"),
            ("f1", "help", "help_here"), ("n", "new", "screen.clone"),
            ("v", "evaluate", "screen.go('evaluate')"), ("e", "export", "screen.go('export')"),
            ("S", "serve", "screen.go('serve')"), ("b", "compare", "screen.beside"), ("c", "chat", "screen.chat"),
            ("r", "resume", "screen.resume"), ("d", "trash", "screen.delete"), ("w", "note", "screen.note"),
            ("t", "tags", "screen.tags"),
        ]  # fmt: skip
        return [("u", "undo", "screen.undo"), *keys] if self.undoable else keys

    @property
    def entry(self) -> Entry | None:
        """The run under the cursor."""
        return self.runs_pane.table.entry

    @property
    def meant(self) -> list[Entry]:
        """The marked runs, else that under the cursor."""
        return self.runs_pane.marked or ([self.entry] if self.entry is not None else [])

    # -- what panes tell ---------------------------------------------------------------------------------------

    def on_run_table_moved(self, message: RunTable.Moved) -> None:
        """Show the run under the cursor."""
        message.stop()
        self.moved()

    def on_run_table_marked(self, message: RunTable.Marked) -> None:
        """Draw and compare what is marked now."""
        message.stop()
        self.runs_pane.retitle()
        self.read_curves()
        self.compare()

    def on_run_table_opened(self, message: RunTable.Opened) -> None:
        """Open the run on the Workbench."""
        message.stop()
        self.action_open()

    # -- where things stand ------------------------------------------------------------------------------------

    def stand(self) -> None:
        """Show one of facts and differences where there is room for one."""
        if self.tab in ("facts", "differs"):
            self.set_class(self.tab == "differs", "-differs")

    def action_zoom_pane(self) -> None:
        """Show the pane with the keys alone, or all of them again."""
        PanedScreen.action_zoom(self)
