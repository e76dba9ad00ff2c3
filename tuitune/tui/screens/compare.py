"""The Compare screen: two models answer the same question side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Container, Horizontal
from textual.events import DescendantFocus, Resize
from textual.screen import Screen

from tuitune.chat.compare import Comparison
from tuitune.tui.keys import Entry, KeysLine
from tuitune.tui.kit.bound import bound
from tuitune.tui.kit.pane import redraw_panes
from tuitune.tui.kit.rows import R, Row
from tuitune.tui.kit.sized import fit_in_time
from tuitune.tui.panes.chatforms import Sampling
from tuitune.tui.panes.chatline import Beside, Chevron, drawing
from tuitune.tui.panes.column import Column, Hint
from tuitune.tui.panes.prompt import Prompt
from tuitune.tui.panes.turns import Transcript
from tuitune.tui.panes.whom import Whom
from tuitune.tui.partners import OTHER
from tuitune.tui.screens.compare_actions import CompareActions
from tuitune.tui.screens.compare_files import last_one
from tuitune.tui.sides import Sides, at_first
from tuitune.tui.status import Status, Tabs

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

_LEAST_WIDTH = 90  # cells below which nothing stands beside the prompt
_KEYS = (
    ("1", "column(0)", "Left column", "compare.left", "go to the left column"),
    ("2", "column(1)", "Right column", "compare.right", "go to the right column"),
    ("tab", "column", "Other column", "compare.other", "go to the other column"),
    ("enter,i", "ask", "Type a question", "compare.ask", "go to the prompt"),
    ("w", "whom", "Who answers", "compare.whom", "choose who answers in this column"),
    ("X", "swap", "Change sides", "compare.swap", "left answers right, and right left"),
    ("K", "turn(-1)", "Turn before", "compare.turn_up", "choose the turn before"),
    ("J", "turn(1)", "Turn after", "compare.turn_down", "choose the turn after"),
    ("e", "edit", "Edit the turn", "compare.edit", "the chosen one, else the last question"),
    ("r", "again", "Answer again", "compare.again", "both answer the chosen or last question again"),
    ("R", "again(True)", "Again, another seed", "compare.anew", "both draw anew"),
    ("T", "fold", "Thoughts", "compare.thoughts", "show what was thought, or hide it"),
    ("s", "system", "System message", "compare.system", "how both shall behave"),
    ("f", "tools", "Tools", "compare.tools", "functions that both may call"),
    ("p", "sampling", "Sampling", "compare.sampling", "temperature, length, seed"),
    ("x", "clear", "Clear", "compare.clear", "forget the turns; u brings them back"),
    ("u", "undo", "Bring turns back", "compare.undo", "after clear, edit, again"),
    ("n", "new", "New comparison", "compare.new", "this one stays on disk"),
    ("o", "earlier", "Earlier ones", "compare.earlier", "go on with an earlier comparison"),
    ("S", "save", "Save both", "compare.save", "as one JSON file"),
    ("O", "load", "Open a file", "compare.load", "a comparison that was saved"),
    ("y", "copy", "Copy the turn", "compare.copy", "the chosen one, else the last answer"),
    ("escape", "back", "Stop or back", "compare.back", "ends answers, leaves the prompt, then the screen"),
)


class CompareScreen(CompareActions, Screen[None]):
    """Two columns with a prompt for both; below 100 columns one of them at a time."""

    CSS_PATH = "compare.tcss"
    BINDINGS: ClassVar[list[BindingType]] = bound(_KEYS)
    if TYPE_CHECKING:
        app: TuiTune

    def __init__(self, subject: str | None = None, beside: str | None = None) -> None:
        super().__init__()
        self.subject, self._right = subject, beside
        self.tab = 0
        self.overrides: Sampling = {}
        self.remark = ""
        self.sides: Sides | None = None
        self.comparison = Comparison.begin()
        self.columns = (Column(0, classes="left place"), Column(1, classes="right place"))
        self.columns[0].other, self.columns[1].other = self.columns[1], self.columns[0]
        self.prompt, self.beside = Prompt("Ask both"), Beside()
        self.transcripts = [column.transcript for column in self.columns]

    def compose(self) -> ComposeResult:
        """Lay out the columns above the prompt."""
        yield Status(self.app.draft)
        yield Tabs(self._tabs())
        with Container(id="compare"):
            yield from self.columns
        with Horizontal(id="ask"):
            yield Chevron()
            yield self.prompt
            yield self.beside
        yield KeysLine(id="keys")

    def on_mount(self) -> None:
        """Find out who is compared."""
        self.overrides = dict(self.app.settings.sampling)
        fit_in_time(self)
        self.place_columns()
        self.show_talk(self.comparison)
        self.prompt.focus()
        self.app.note_focus()
        app, subject, picked = self.app, self.subject, self._picked()
        if subject is not None and self._right is not None:
            self._found(Sides(subject, self._right))
        else:
            app.in_thread("compare", lambda: at_first(app, subject, picked), self._found)
        app.in_thread("compare-kept", last_one, self._invite)

    def on_unmount(self) -> None:
        """Give the memory back; answers that are still written are kept as far as they came."""
        self.comparison.close()
        if self.sides is not None:
            if self.sides.release in self.app.partners.guests:
                self.app.partners.guests.remove(self.sides.release)
            self.sides.free()

    def _picked(self) -> str | None:
        """Return who is asked in the chat, where that is somebody who was picked for it."""
        found = next((each for screen in self.app.screen_stack for each in screen.query(Whom)), None)
        return self.app.partners.picked if found is not None and found.who.kind == OTHER else None

    def _found(self, sides: Sides) -> None:
        if self.sides is None and self.is_attached:
            self.sides = sides
            self.app.partners.guests.append(sides.release)
            self.name_columns()

    def _invite(self, hint: Hint | None) -> None:
        """Say which comparison could be gone on with, where nothing was said yet."""
        self.columns[0].hint = hint
        self.columns[0].refresh_turns()

    def name_columns(self) -> None:
        """Show who answers where."""
        if self.sides is not None:
            for column in self.columns:
                column.same = self.sides.same
                column.rename(self.sides.label(column.place), self.sides.signature(column.place))
                column.talk.ask_of(self.sides.words[column.place])
        self.query_one(Tabs).offer(self._tabs())

    def _tabs(self) -> tuple[tuple[str, str, str], ...]:
        return tuple((str(column.place), column.digit, column.label) for column in self.columns)

    def show_talk(self, comparison: Comparison) -> None:
        """Show another comparison."""
        if comparison is not self.comparison:
            self.comparison.close()
        self.comparison, self.remark = comparison, ""  # what was said is not about this one
        for column, talk in zip(self.columns, comparison.sides, strict=True):
            column.take(talk)
        self.refresh_line()

    # -- what is shown -----------------------------------------------------------------------------------------

    @property
    def keys(self) -> list[Entry]:
        """The keys worth knowing here."""
        first: list[Entry] = [("esc", "stop", "screen.back")] if self.busy else []
        if self.prompt.has_focus:  # letters are typed there
            first = first or [("enter", "ask both", "screen.send"), ("esc", "keys", "screen.back")]
            return [*first, ("f1", "help", "help_here")]
        return [
            *first, ("w", "who", "screen.whom"), ("r", "again", "screen.again"), ("J K", "turn", "screen.turn(1)"),
            ("e", "edit", "screen.edit"), ("p", "sampling", "screen.sampling"), ("f1", "help", "help_here"),
            ("s", "system", "screen.system"), ("o", "earlier", "screen.earlier"), ("S", "save", "screen.save"),
        ]  # fmt: skip

    @property
    def busy(self) -> bool:
        """Whether an answer is on its way."""
        return any(column.busy for column in self.columns)

    @property
    def sampling(self) -> Sampling:
        """How answers are drawn."""
        return {**self.app.partners.sampling(), **self.overrides}

    @property
    def column(self) -> Column:
        """The column that keys act on."""
        return self.columns[self.tab]

    def refresh_line(self) -> None:
        """Show beside the prompt what belongs there, if there is room."""
        row = self._row_beside()
        self.beside.display = self.size.width >= _LEAST_WIDTH and self.prompt.measure < self.size.width // 2
        self.beside.put(row)
        waits = any(side.waits_for_tools for side in self.comparison.sides)
        self.prompt.placeholder = "What does the tool answer?" if waits else "Ask both"

    def _row_beside(self) -> Row:
        if self.remark:
            return R("quiet on lift", f" {self.remark} ")
        side = self.comparison.sides[0]
        return drawing(self.sampling, system=side.system is not None, tools=bool(side.tools))

    # -- where things stand ------------------------------------------------------------------------------------

    @property
    def narrow(self) -> bool:
        """Whether there is room for one column only."""
        return self.size.width < 100

    def on_resize(self, event: Resize) -> None:
        """Choose what fits."""
        self.place_columns()
        self.refresh_line()
        self.call_after_refresh(redraw_panes, self)

    def place_columns(self) -> None:
        """Tell the style sheet what shows where."""
        self.set_class(self.narrow, "-one")
        for column in self.columns:
            column.set_class(column.place == self.tab, "-active")
            column.level(not self.narrow)
        self.query_one(Tabs).show(str(self.tab))

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """Bring the column with the keys to the front where only one shows."""
        for column in self.columns:
            if column in event.widget.ancestors and column.place != self.tab:
                self.tab = column.place
                self.place_columns()
        self.app.note_focus()

    def on_tabs_chosen(self, message: Tabs.Chosen) -> None:
        """Go to the column that was clicked."""
        self.action_column(int(message.name))

    @on(Transcript.Typed)
    def _typed(self, event: Transcript.Typed) -> None:
        event.stop()
        self.prompt.focus()
        self.prompt.insert_text(event.text)

    @on(Prompt.Sent)
    def _sent(self, event: Prompt.Sent) -> None:
        event.stop()
        self.ask(event.text)

    @on(Prompt.Changed)
    def _edited(self) -> None:
        self.remark = ""
        self.refresh_line()
