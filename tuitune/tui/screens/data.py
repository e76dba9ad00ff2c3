"""The data screen: which tokens are trained on, with everything there is to say about the data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container

from tuitune.tui.keys import Entry, KeysLine
from tuitune.tui.kit.pane import DrawnPane, Pane
from tuitune.tui.panes.data_facts import ChecksPane, LengthsPane
from tuitune.tui.panes.data_list import RowList
from tuitune.tui.panes.data_packs import BatchesPane
from tuitune.tui.panes.data_rows import RowsPane
from tuitune.tui.panes.data_tokens import Note, TokensPane
from tuitune.tui.screens.data_actions import DataActions
from tuitune.tui.screens.data_notes import about_bad, about_example, about_work, longest
from tuitune.tui.screens.paned import PanedScreen, bindings
from tuitune.tui.status import Status, Tabs

if TYPE_CHECKING:
    from tuitune.data.look_side import Side
    from tuitune.tui.app import TuiTune

_EVERY = 0.25  # seconds between two looks at how far the preparing is
TABS = (("rows", "1", "Rows"), ("tokens", "2", "Tokens"), ("checks", "3", "Checks"), ("lengths", "4", "Lengths"))
_KEYS = (
    ("n", "next(1)", "Next row", "data.next", "the next example of the list"),
    ("p", "next(-1)", "Previous row", "data.previous", "the example before"),
    ("exclamation_mark", "problem", "Next problem", "data.problem", "the next example with something to say about it"),
    ("slash", "search", "Search", "data.search", "search the text, or go to a row"),
    ("f", "filter", "Filter", "data.filter", "only cut rows, duplicates, rows left out, the longest ones"),
    ("t", "prose", "Text or tokens", "data.text", "as text, or token by token"),
    ("i", "ids", "Ids", "data.ids", "the id below every token"),
    ("b", "batches", "Batches", "data.batches", "packs, or the rows of a step"),
    ("e", "split", "Training or evaluation", "data.split", "the rows held back for evaluation, or those to train on"),
    ("r", "again", "Prepare again", "data.again", "prepare the data of the recipe as it is now"),
    ("x", "cancel", "Call off", "data.cancel", "stop preparing the data"),
    ("f8", "fault", "Next problem", "recipe.problem", "go to what is wrong with the recipe"),
    ("z,f2", "zoom", "Zoom", "data.zoom", "this pane alone, or all of them again"),
    ("escape", "back", "Back", "data.back", "back to where you came from"),
)


class DataScreen(DataActions, PanedScreen):
    """Rows, tokens, checks and lengths; below 100 columns one of them at a time."""

    CSS_PATH = "data.tcss"
    TABS = TABS
    BINDINGS: ClassVar[list[BindingType]] = bindings("data.", TABS, _KEYS)
    if TYPE_CHECKING:
        app: TuiTune

    def __init__(self, subject: str | None = None) -> None:
        super().__init__("tokens")
        self.held = self.batches = False  # evaluation rows; packs in place of tokens
        self._revision = -1

    def compose(self) -> ComposeResult:
        """Lay out the panes; where they stand is told by the style sheet."""
        yield Status(self.app.draft)
        yield Tabs(TABS)
        with Container(id="data"):
            yield RowsPane(classes="rows place")
            yield TokensPane(classes="tokens place")
            yield BatchesPane(classes="batches")
            yield ChecksPane(classes="checks place")
            yield LengthsPane(classes="lengths place")
        yield KeysLine(id="keys")

    def on_mount(self) -> None:
        """Prepare the data unless they are there, and follow how far that is."""
        if self.left:
            return
        self.place_panes()
        self.pane("tokens" if self.narrow else "rows").focus_first()
        recipe = self.app.draft.recipe()
        if self.app.datalook.wanted(recipe) and self.app.datalook.look is None and recipe is not None:
            self.app.datalook.start(recipe)
        self.poll()
        self.set_interval(_EVERY, self.poll)
        self.app.note_focus()

    # -- what is shown -----------------------------------------------------------------------------------------

    @property
    def keys(self) -> list[Entry]:
        """The keys worth knowing here."""
        busy = self.app.datalook.busy
        return [
            ("x", "call off", "screen.cancel") if busy else ("n p", "row", "screen.next(1)"),
            ("/", "search", "screen.search"), ("f", "filter", "screen.filter"), ("t", "text", "screen.prose"),
            ("i", "ids", "screen.ids"), ("esc", "back", "screen.back"), ("f1", "help", "help_here"),
            ("r", "again", "screen.again"), ("e", "eval", "screen.split"), ("b", "batches", "screen.batches"),
        ]  # fmt: skip

    @property
    def side(self) -> Side | None:
        """The split that is shown."""
        found = self.app.datalook.look
        if found is None:
            return None
        return found.evaluation if self.held and found.evaluation is not None else found.train

    def poll(self) -> None:
        """Show what has become of the preparing."""
        work = self.app.datalook
        if work.revision != self._revision:
            self._revision = work.revision
            self.take()
        self.query_one(TokensPane).say(list(self._notes()))
        self.app.note_focus()

    def take(self) -> None:
        """Show a split."""
        look = self.app.datalook.look
        self.query_one(RowsPane).show(look, self.side)
        self.query_one(ChecksPane).show(look, self.side)
        self._show()

    def _show(self) -> None:
        """Show the example under the cursor of the list."""
        tokens, side = self.query_one(TokensPane), self.side
        place = self.query_one(RowsPane).list.place
        tokens.show(side, place, about_example(self.app.datalook.look, side, place))
        tokens.say(list(self._notes()))
        self.query_one(LengthsPane).show(side, longest(side, place))
        if self.batches:
            self.query_one(BatchesPane).show(side, place)

    def _notes(self) -> Iterator[Note]:
        yield from about_work(self.app.datalook, self.app.draft.recipe())
        yield from about_bad(self.query_one(RowsPane).list.bad)

    # -- where things stand ------------------------------------------------------------------------------------

    def pane(self, name: str) -> Pane | DrawnPane:
        """Return a pane by the name of its tab."""
        return self.query_one(BatchesPane) if name == "tokens" and self.batches else super().pane(name)

    def stand(self) -> None:
        """Show packs in place of tokens where that is wanted."""
        self.set_class(self.batches, "-batches")
        self.query_one(BatchesPane).set_class(self.tab == "tokens", "-active")

    # -- what panes tell ---------------------------------------------------------------------------------------

    def on_row_list_moved(self, message: RowList.Moved) -> None:
        """Show the example under the cursor."""
        message.stop()
        self._show()

    def on_row_list_opened(self, message: RowList.Opened) -> None:
        """Go to the tokens."""
        message.stop()
        self.action_pane("tokens")

    def on_checks_pane_wanted(self, message: ChecksPane.Wanted) -> None:
        """List the rows of a check."""
        message.stop()
        self.query_one(RowsPane).filter(message.which)
        self.action_pane("rows")

    def on_batches_pane_opened(self, message: BatchesPane.Opened) -> None:
        """Go to the tokens of an example."""
        message.stop()
        rows = self.query_one(RowsPane).list
        at = rows.row_of(message.place)
        if at is not None:
            rows.go_to(at)
        self.action_batches()
