"""The data screen: which tokens are trained on, with everything there is to say about the data."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.events import DescendantFocus, Resize
from textual.screen import Screen

from tuitune.text import clean_line
from tuitune.tui.asking import Picker, PickItem
from tuitune.tui.keys import Entry, KeysLine
from tuitune.tui.kit.pane import DrawnPane, Pane
from tuitune.tui.kit.units import whole_seconds
from tuitune.tui.panes.data_facts import ChecksPane, LengthsPane
from tuitune.tui.panes.data_list import RowList
from tuitune.tui.panes.data_packs import BatchesPane
from tuitune.tui.panes.data_rows import RowsPane
from tuitune.tui.panes.data_tokens import Note, TokensPane
from tuitune.tui.status import Status, Tabs

if TYPE_CHECKING:
    from tuitune.data.look_side import Side
    from tuitune.tui.app import TuiTune

_EVERY = 0.25  # seconds between two looks at how far the preparing is
_NAMED = 3  # keys that are told to have changed
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


class DataScreen(Screen[None]):
    """Rows, tokens, checks and lengths; below 100 columns one of them at a time."""

    VERTICAL_BREAKPOINTS = [(0, "-low"), (32, "-middle"), (46, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        *(
            Binding(digit, f"pane('{name}')", f"{label} pane", show=False, id=f"data.{name}", tooltip=f"go to {label}")
            for name, digit, label in TABS
        ),
        *(Binding(key, action, description, show=False, id=name, tooltip=tooltip)
          for key, action, description, name, tooltip in _KEYS),
    ]  # fmt: skip
    if TYPE_CHECKING:
        app: TuiTune

    def __init__(self) -> None:
        super().__init__()
        self._tab, self._zoomed = "tokens", False
        self._held = self._batches = False  # evaluation rows; packs in place of tokens
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
        self._arrange()
        self._pane("tokens" if self.narrow else "rows").focus_first()
        recipe = self.app.draft.recipe()
        if self.app.datalook.wanted(recipe) and self.app.datalook.look is None and recipe is not None:
            self.app.datalook.start(recipe)
        self._poll()
        self.set_interval(_EVERY, self._poll)
        self.app.note_focus()

    # -- what is shown -----------------------------------------------------------------------------------------

    @property
    def keys(self) -> list[Entry]:
        """The keys worth knowing here."""
        busy = self.app.datalook.busy
        return [
            ("x", "call off", "screen.cancel") if busy else ("n p", "row", "screen.next(1)"),
            ("/", "search", "screen.search"), ("f", "filter", "screen.filter"), ("t", "text", "screen.prose"),
            ("i", "ids", "screen.ids"), ("e", "eval", "screen.split"), ("b", "batches", "screen.batches"),
            ("r", "again", "screen.again"), ("esc", "back", "screen.back"), ("f1", "help", "help_here"),
        ]  # fmt: skip

    @property
    def side(self) -> Side | None:
        """The split that is shown."""
        found = self.app.datalook.look
        if found is None:
            return None
        return found.evaluation if self._held and found.evaluation is not None else found.train

    def _poll(self) -> None:
        work = self.app.datalook
        if work.revision != self._revision:
            self._revision = work.revision
            self._take()
        self.query_one(TokensPane).say(list(self._notes()))
        self.app.note_focus()

    def _take(self) -> None:
        look = self.app.datalook.look
        self.query_one(RowsPane).show(look, self.side)
        self.query_one(ChecksPane).show(look, self.side)
        self._show()

    def _show(self) -> None:
        """Show the example under the cursor of the list."""
        rows, tokens, side = self.query_one(RowsPane).list, self.query_one(TokensPane), self.side
        place, look = rows.place, self.app.datalook.look
        words: list[str] = []
        if side is not None and look is not None and place is not None:
            from tuitune.data.look_facts import row_words

            words = [clean_line(each) for each in row_words(look, side, place)]
            words += [
                f"{clean_line(str(key))}: {clean_line(str(value))}" for key, value in side.view(place).columns.items()
            ]
        tokens.show(side, place, words)
        tokens.say(list(self._notes()))
        length = None
        if side is not None and place is not None:
            first, last = side.examples.starts[place], side.examples.starts[place + 1]
            length = max((int(side.examples.rows.lengths[n]) for n in range(int(first), int(last))), default=None)
        self.query_one(LengthsPane).show(side, length)
        if self._batches:
            self.query_one(BatchesPane).show(side, place)

    def _notes(self) -> Iterator[Note]:
        work, recipe = self.app.datalook, self.app.draft.recipe()
        if work.busy:
            yield Note(_progress(work.stage, work.done, work.total, work.begun))
        elif work.trouble is not None:
            yield Note(work.trouble[0], "error")
            yield Note(work.trouble[1] or "r tries again")
        elif work.look is None:
            words = "the recipe has problems; f8 shows them" if recipe is None else "r prepares the data of the recipe"
            yield Note(words)
        changed = work.changed(recipe)
        if changed:
            more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
            yield Note(f"the recipe has changed since: {', '.join(changed[:_NAMED])}{more}; r prepares again", "warn")
        bad = self.query_one(RowsPane).list.bad
        if bad is not None:
            yield Note(f"{clean_line(bad.file)}, row {bad.row:,}", "strong b")
            yield Note(f"is left out: {clean_line(bad.reason)}", "warn")

    # -- where things stand ------------------------------------------------------------------------------------

    @property
    def narrow(self) -> bool:
        """Whether there is room for one pane only."""
        return self.size.width < 100

    def on_resize(self, event: Resize) -> None:
        """Choose what fits."""
        self._arrange()
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
            pane = self._pane(name)
            if name != self._tab and (event.widget is pane or pane in event.widget.ancestors):
                self._tab = name
                self._arrange()

    def _pane(self, name: str) -> Pane | DrawnPane:
        if name == "tokens" and self._batches:
            return self.query_one(BatchesPane)
        found = self.query_one(f".{name}.place")
        assert isinstance(found, Pane | DrawnPane)
        return found

    def _arrange(self) -> None:
        self.set_class(self.narrow or self._zoomed, "-one")
        self.set_class(self._batches, "-batches")
        for name, _, _ in TABS:
            for place in self.query(f".{name}.place"):
                place.set_class(name == self._tab, "-active")
        self.query_one(BatchesPane).set_class(self._tab == "tokens", "-active")
        self.query_one(Tabs).show(self._tab)

    def action_pane(self, name: str) -> None:
        """Go to a pane."""
        self._tab = name
        self._arrange()
        self.call_after_refresh(lambda: self._pane(name).focus_first())

    def on_tabs_chosen(self, message: Tabs.Chosen) -> None:
        """Go to the tab that was clicked."""
        self.action_pane(message.name)

    def action_zoom(self) -> None:
        """Show the pane with the keys alone, or all of them again."""
        if self.narrow:
            self.app.say("one pane shows at a time here; 1 to 4 change it")
            return
        self._zoomed = not self._zoomed
        self._arrange()

    # -- what keys do ------------------------------------------------------------------------------------------

    def action_next(self, by: int) -> None:
        """Go to another example of the list."""
        self.query_one(RowsPane).list.action_move(by)

    def action_problem(self) -> None:
        """Go to the next example of the list that something is to be said about."""
        rows, side = self.query_one(RowsPane).list, self.side
        found = next((n for n in self._after(rows, side)), None) if side is not None else None
        if found is None:
            self.app.say("no example of the list has a problem")
        else:
            rows.go_to(found)

    def _after(self, rows: RowList, side: Side | None) -> Iterator[int]:
        """Yield where in the list examples with problems stand, those behind the cursor first."""
        import numpy as np

        if side is None or rows.places is None or not len(rows):
            return
        wrong = np.zeros(len(side), bool)
        for which in ("cut", "twice", "unended"):
            wrong[side.places(which)] = True
        found = np.flatnonzero(wrong[rows.places])
        yield from map(int, found[found > rows.at])
        yield from map(int, found[found < rows.at])

    def action_search(self) -> None:
        """Go to the line to search with."""
        if self._tab != "rows":
            self._tab = "rows"
            self._arrange()
        self.call_after_refresh(self.query_one(RowsPane).line.focus)

    def action_filter(self) -> None:
        """Choose which rows are listed."""
        pane = self.query_one(RowsPane)
        items = [PickItem(key, name, f"{count:,}") for key, name, count in pane.counts()]
        if not items:
            self.app.say("nothing is prepared yet")
            return
        self.app.push_screen(Picker("Which rows?", items, chosen=pane.filtered), self._filtered)

    def _filtered(self, which: str | None) -> None:
        if which is not None:
            self.query_one(RowsPane).filter(which)

    def action_prose(self) -> None:
        """Show text, or tokens."""
        tokens = self.query_one(TokensPane)
        tokens.set_look(prose=not tokens.prose)

    def action_ids(self) -> None:
        """Show the ids of tokens, or not."""
        tokens = self.query_one(TokensPane)
        tokens.set_look(ids=not tokens.ids or tokens.prose, prose=False)

    def action_batches(self) -> None:
        """Show packs or steps in place of tokens, or tokens again."""
        self._batches = not self._batches
        self._tab = "tokens"
        self._arrange()
        if self._batches:
            self.query_one(BatchesPane).show(self.side, self.query_one(RowsPane).list.place)
        self.call_after_refresh(lambda: self._pane("tokens").focus_first())

    def action_split(self) -> None:
        """Change between training and evaluation."""
        found = self.app.datalook.look
        if found is None or found.evaluation is None:
            self.app.say("no rows are held back for evaluation: set val_size or eval_dataset")
            return
        self._held = not self._held
        self._take()

    def action_again(self) -> None:
        """Prepare the data of the recipe as it is now."""
        recipe = self.app.draft.recipe()
        if recipe is None:
            self.app.say("the recipe has problems; f8 shows them", "warning")
            return
        self.app.datalook.start(recipe)
        self._poll()

    def action_cancel(self) -> None:
        """Stop preparing."""
        if self.app.datalook.busy:
            self.app.datalook.cancel()
            self._poll()
        else:
            self.app.say("nothing is being prepared")

    def action_fault(self) -> None:
        """Go back to what is wrong with the recipe."""
        self.app.pop_screen()
        self.app.call_after_refresh(self.app.action_recipe_problem)

    def action_back(self) -> None:
        """End the zoom or the batches, else leave."""
        if self._zoomed and not self.narrow:
            self.action_zoom()
        elif self._batches:
            self.action_batches()
        else:
            self.app.pop_screen()

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


def _progress(stage: str, done: int, total: int, begun: float) -> str:
    import time

    words = {"read": "reading the data sets", "tokenise": "tokenising", "count": "counting"}.get(
        stage, clean_line(stage)
    )
    of = f" {done:,} of {total:,}, {100 * done // total} %" if total else ""
    return f"preparing: {words}{of}, {whole_seconds(time.monotonic() - begun)}; x calls it off"
