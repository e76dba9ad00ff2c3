"""The Runs screen: every run, the curves of several over each other, what differs between them, all about one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.events import DescendantFocus, Resize
from textual.screen import Screen
from textual.timer import Timer

from tuitune.face.difference import compared
from tuitune.run.shelf import Entry
from tuitune.run.trash import Trashed
from tuitune.tui.keys import Entry as Key
from tuitune.tui.keys import KeysLine
from tuitune.tui.kit.pane import DrawnPane, Pane
from tuitune.tui.panes.runs_columns import COLOURS
from tuitune.tui.panes.runs_curve import Curve
from tuitune.tui.panes.runs_differs import Compared, DiffersPane
from tuitune.tui.panes.runs_facts import FactsPane
from tuitune.tui.panes.runs_list import RunsPane
from tuitune.tui.panes.runs_overlay import OverlayPane, lines_of
from tuitune.tui.panes.runs_table import RunTable
from tuitune.tui.screens.runs_actions import RunsActions
from tuitune.tui.screens.runs_data import Desk
from tuitune.tui.screens.runs_keep import KeepActions
from tuitune.tui.status import Status, Tabs

if TYPE_CHECKING:
    from tuitune.face.about import About
    from tuitune.tui.app import TuiTune

_BEAT, _SELDOM = 1.0, 5  # seconds between two looks at live runs; every so many at all others
_REST = 0.12  # seconds that the cursor rests before a curve is read for it
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
    ("b", "beside", "Compare", "runs.compare", "its answers beside those of its base"),
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


class RunsScreen(RunsActions, KeepActions, Screen[None]):
    """List, curves, differences and facts; below 100 columns one of them at a time."""

    VERTICAL_BREAKPOINTS = [(0, "-low"), (32, "-middle"), (46, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(digit, f"pane('{name}')", f"{label} pane", show=False, id=f"runs.{name}", tooltip=f"go to {label}")
            for name, digit, label in TABS
        ),
        *(Binding(key, action, description, show=False, id=name, tooltip=tooltip)
          for key, action, description, name, tooltip in _KEYS),
    ]  # fmt: skip
    if TYPE_CHECKING:
        app: TuiTune

    def __init__(self, subject: str | None = None) -> None:
        super().__init__()
        self.tab, self.zoomed = "list", False
        self.desk = Desk()
        self.figure: str | None = None  # what the curves show; None: what tells most of the first
        self.curves: dict[str, Curve] = {}
        self.undoable: list[list[Trashed]] = []
        self._subject = subject
        self._looking = False
        self._beats = 0
        self._wished: tuple[str, ...] = ()
        self._rest: Timer | None = None
        self._about: About | None = None

    def compose(self) -> ComposeResult:
        """Lay out the panes; where they stand is told by the style sheet."""
        yield Status(self.app.draft)
        yield Tabs(TABS)
        with Container(id="runs"):
            yield RunsPane(classes="list place")
            yield OverlayPane(classes="curves place")
            yield DiffersPane(classes="differs place")
            yield FactsPane(classes="facts place")
        yield KeysLine(id="keys")

    def on_mount(self) -> None:
        """Read the list, and look at it again from time to time."""
        self.place_panes()
        self.runs_pane.focus_first()
        self.look()
        self.set_interval(_BEAT, self.beat)
        self.app.note_focus()

    @property
    def keys(self) -> list[Key]:
        """The keys worth knowing here."""
        keys: list[Key] = [
            ("enter", "open", "screen.open"), ("space", "mark", "screen.mark"), ("/", "search", "screen.search"),
            ("s", "sort", "screen.sort"), ("f", "filter", "screen.filter"), ("esc", "back", "screen.back"),
            ("f1", "help", "help_here"), ("n", "new", "screen.clone"), ("r", "resume", "screen.resume"),
            ("w", "note", "screen.note"), ("t", "tags", "screen.tags"), ("d", "trash", "screen.delete"),
        ]  # fmt: skip
        return [("u", "undo", "screen.undo"), *keys] if self.undoable else keys

    @property
    def runs_pane(self) -> RunsPane:
        """The pane of all runs."""
        return self.query_one(RunsPane)

    @property
    def entry(self) -> Entry | None:
        """The run under the cursor."""
        return self.runs_pane.table.entry

    # -- what is shown -----------------------------------------------------------------------------------------

    def beat(self) -> None:
        """Look at live runs, and now and then at all."""
        if self.app.screen is not self:
            return
        self._beats += 1
        live = any(entry.live for entry in self.runs_pane.all)
        if live or self._beats % _SELDOM == 0:
            self.look()
        if live:
            self._grow()

    def look(self) -> None:
        """Read the list anew."""
        if not self._looking:
            self._looking = True
            self.app.in_thread("runs-list", self.desk.entries, self._listed)

    def _listed(self, entries: Sequence[Entry]) -> None:
        self._looking = False
        if not self.is_attached:
            return
        self.runs_pane.show(entries)
        self._go_to_subject(entries)
        self._refresh()
        if any(not entry.facts.whole for entry in entries):
            self.app.in_thread("runs-deep", self.desk.deepen, self._deepened)

    def _deepened(self, entries: Sequence[Entry] | None) -> None:
        if entries is not None:
            self._listed(entries)

    def _go_to_subject(self, entries: Sequence[Entry]) -> None:
        subject, self._subject = self._subject, None
        if subject is not None:
            path = next((each.path for each in entries if subject in (each.path, each.run.name)), None)
            if path is not None:
                self.runs_pane.table.go_to(path)

    def _refresh(self) -> None:
        """Show what belongs to the list as it is now."""
        entry = self.entry
        self.query_one(FactsPane).show(entry, self._about)
        self._draw()
        self.app.note_focus()

    def on_run_table_moved(self, message: RunTable.Moved) -> None:
        """Show the run under the cursor; what must be read waits until the cursor rests."""
        message.stop()
        self._refresh()
        if self._rest is not None:
            self._rest.stop()
        self._rest = self.set_timer(_REST, self._rested)

    def _rested(self) -> None:
        entry = self.entry
        if entry is not None:
            self.app.in_thread("runs-about", lambda: self.desk.about(entry.run), self._told)
        self._read_curves()
        self._compare()

    def _told(self, found: About | None) -> None:
        self._about = found
        if self.is_attached:
            self.query_one(FactsPane).show(self.entry, found)

    def on_run_table_marked(self, message: RunTable.Marked) -> None:
        """Draw and compare what is marked now."""
        message.stop()
        self.runs_pane.retitle()
        self._read_curves()
        self._compare()

    # -- curves ------------------------------------------------------------------------------------------------

    @property
    def drawn(self) -> list[Entry]:
        """The runs whose curves are drawn: the marked ones as far as there are colours, else that under the cursor."""
        marked = self.runs_pane.marked[: len(COLOURS)]
        return marked or ([self.entry] if self.entry is not None else [])

    def _read_curves(self) -> None:
        missing = tuple(entry for entry in self.drawn if entry.path not in self.curves)
        self._wished = tuple(entry.path for entry in missing)
        self._draw()
        if not missing:
            return
        runs, figure = [entry.run for entry in missing], self.figure

        def tell(curve: Curve) -> None:
            self.app.call_from_thread(self._got, curve, figure)

        self.app.in_thread("runs-curves", lambda: self.desk.curves(runs, figure, tell), lambda _: self._all_read())

    def _got(self, curve: Curve, figure: str | None) -> None:
        if figure == self.figure and self.is_attached:
            self.curves[str(curve.run.path)] = curve

    def _all_read(self) -> None:
        self._wished = ()
        if self.is_attached:
            self._draw()

    def _grow(self) -> None:
        """Take in what live runs have logged since."""
        grown = [self.curves[entry.path].read() for entry in self.drawn if entry.live and entry.path in self.curves]
        if any(grown):
            self._draw()

    def _draw(self) -> None:
        drawn = self.drawn
        missing = [entry for entry in drawn if entry.path not in self.curves]
        waiting = "" if not missing or not self._wished else f"reading {len(missing)} of {len(drawn)} curves"
        more = max(0, len(self.runs_pane.marked) - len(COLOURS))
        lines = lines_of([(entry.path, entry.run.name) for entry in drawn], self.curves)
        self.query_one(OverlayPane).show(lines, more=more, waiting=waiting)

    # -- differences -------------------------------------------------------------------------------------------

    def _compare(self) -> None:
        entries = self.runs_pane.marked[: len(COLOURS)]
        if len(entries) == 1 and self.entry is not None and self.entry.path != entries[0].path:
            entries = [*entries, self.entry]
        if len(entries) < 2:
            self._compared(None)
            return

        def work() -> Compared:
            found = compared(self.desk.terms([entry.run for entry in entries]))
            return Compared(tuple(entries), tuple(range(len(entries))), found)

        self.app.in_thread("runs-differ", work, self._compared)

    def _compared(self, found: Compared | None) -> None:
        if self.is_attached:
            self.query_one(DiffersPane).show(found)
            self.set_class(found is not None and self.tab != "facts", "-differs")

    # -- where things stand ------------------------------------------------------------------------------------

    @property
    def narrow(self) -> bool:
        """Whether there is room for one pane only."""
        return self.size.width < 100

    def on_resize(self, event: Resize) -> None:
        """Choose what fits."""
        self.place_panes()
        self.call_after_refresh(self._redraw)

    def _redraw(self) -> None:
        for pane in self.query("Pane, DrawnPane"):
            if isinstance(pane, Pane):
                pane.retitle()
            elif isinstance(pane, DrawnPane):
                pane.redraw()

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Bring the pane with the keys to the front where only one shows."""
        for name, _, _ in TABS:
            pane = self.pane(name)
            if name != self.tab and (event.widget is pane or pane in event.widget.ancestors):
                self.tab = name
                self.place_panes()

    def pane(self, name: str) -> Pane | DrawnPane:
        """Return a pane by the name of its tab."""
        found = self.query_one(f".{name}.place")
        assert isinstance(found, Pane | DrawnPane)
        return found

    def place_panes(self) -> None:
        """Tell the style sheet what shows where."""
        self.set_class(self.narrow or self.zoomed, "-one")
        if self.tab in ("facts", "differs"):
            self.set_class(self.tab == "differs", "-differs")
        for name, _, _ in TABS:
            for place in self.query(f".{name}.place"):
                place.set_class(name == self.tab, "-active")
        self.query_one(Tabs).show(self.tab)

    def action_pane(self, name: str) -> None:
        """Go to a pane."""
        self.tab = name
        self.place_panes()
        self.call_after_refresh(lambda: self.pane(name).focus_first())

    def on_tabs_chosen(self, message: Tabs.Chosen) -> None:
        """Go to the tab that was clicked."""
        self.action_pane(message.name)

    def action_zoom_pane(self) -> None:
        """Show the pane with the keys alone, or all of them again."""
        if self.narrow:
            self.app.say("one pane shows at a time here; 1 to 4 change it")
            return
        self.zoomed = not self.zoomed
        self.place_panes()

    def on_run_table_opened(self, message: RunTable.Opened) -> None:
        """Open the run on the Workbench."""
        message.stop()
        self.action_open()
