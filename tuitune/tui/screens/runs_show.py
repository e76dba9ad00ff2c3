"""What the Runs screen shows, and when it is read: the list, the curves, the differences, the facts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from textual.timer import Timer

from tuitune.face import figures
from tuitune.face.difference import compared
from tuitune.run.shelf import Entry
from tuitune.tui.panes.runs_columns import COLOURS
from tuitune.tui.panes.runs_curve import Curve
from tuitune.tui.panes.runs_differs import Compared
from tuitune.tui.panes.runs_look import lines_of

if TYPE_CHECKING:
    from tuitune.face.about import About
    from tuitune.tui.screens.runs import RunsScreen

_OFTEN, _SELDOM = 2, 5  # beats between two looks at the list: while a run trains, and else
_REST = 0.12  # seconds that the cursor rests before a curve is read for it
_KEPT = 32  # curves that are remembered


class RunsShow:
    """Reading and showing; a part of the screen."""

    def __init__(self) -> None:
        super().__init__("list")  # type: ignore[call-arg]  # what is shared is mixed into a PanedScreen
        self._looks = 0  # at the list, so far; what an earlier one than the last finds does not count
        self._looking = False
        self._beats = 0
        self._reading = False
        self._drawn_figure: str | None = None  # for which curves were read last
        self._rest: Timer | None = None
        self._about: About | None = None
        self.when_listed: Callable[[], None] | None = None  # what a key asked for before the list was there

    @property
    def _shown(self) -> RunsScreen:
        return self  # type: ignore[return-value]

    @property
    def waits(self) -> bool:
        """Whether a key waits for the list; those behind it are for what it does then."""
        return self.when_listed is not None

    # -- the list ----------------------------------------------------------------------------------------------

    def beat(self) -> None:
        """Look at live runs, and now and then at all."""
        screen = self._shown
        if screen.app.screen is not screen:
            return
        self._beats += 1
        live = any(entry.live for entry in screen.runs_pane.all)
        if self._beats % (_OFTEN if live else _SELDOM) == 0 and not self._looking:
            self.look()
        if live:
            self._grow()

    def look(self) -> None:
        """Read the list anew; one that is being read may be older than what was just done, and is not shown."""
        self._looks += 1
        self._looking, number = True, self._looks
        self._shown.app.in_thread("runs-list", self._entries, lambda entries: self._listed(entries, number))

    def _entries(self) -> list[Entry]:
        try:
            return self._shown.desk.entries()
        except Exception:
            self._looking = False  # the next beat tries again
            self.when_listed = None
            raise

    def _listed(self, entries: Sequence[Entry], number: int) -> None:
        screen = self._shown
        if number != self._looks or not screen.is_attached:
            return
        self._looking = False
        screen.runs_pane.show(entries)
        self._go_to_subject(entries)
        screen.subject = None
        self._refresh()
        if screen.differs.is_older(entries):
            self.compare()
        if (then := self.when_listed) is not None:
            self.when_listed = None
            then()
        if self.shown_figure != self._drawn_figure:
            self.read_curves()
        if any(not entry.facts.whole for entry in entries):
            screen.app.in_thread("runs-deep", screen.desk.deepen, lambda found: self._deepened(found, number))

    def _deepened(self, entries: Sequence[Entry] | None, number: int) -> None:
        if entries is not None:
            self._listed(entries, number)

    def _go_to_subject(self, entries: Sequence[Entry]) -> None:
        screen = self._shown
        path = next((each.path for each in entries if screen.subject in (each.path, each.run.name)), None)
        if path is not None:
            screen.subject = None
            screen.runs_pane.table.to_run(path)

    def show_known(self, entries: Sequence[Entry]) -> None:
        """Show the runs as they were known last, until they are read anew."""
        if entries:
            self._shown.runs_pane.show(entries)
            self._go_to_subject(entries)
            self._refresh()

    def _refresh(self) -> None:
        """Show what belongs to the list as it is now."""
        screen = self._shown
        screen.facts.show(screen.entry, self._about)
        self.draw()
        screen.app.note_focus()

    def moved(self) -> None:
        """Show the run under the cursor; what must be read waits until the cursor rests."""
        self._refresh()
        if self._rest is not None:
            self._rest.stop()
        self._rest = self._shown.set_timer(_REST, self._rested)

    def _rested(self) -> None:
        screen, entry = self._shown, self._shown.entry
        if entry is not None:
            screen.app.in_thread("runs-about", lambda: screen.desk.about(entry.run), self._told)
        self.read_curves()
        self.compare()

    def _told(self, found: About | None) -> None:
        self._about = found
        if self._shown.is_attached:
            self._shown.facts.show(self._shown.entry, found)

    # -- curves ------------------------------------------------------------------------------------------------

    @property
    def drawn(self) -> list[Entry]:
        """The runs whose curves are drawn: the marked ones as far as there are colours, else that under the cursor."""
        screen = self._shown
        marked = screen.runs_pane.marked[: len(COLOURS)]
        return marked or ([screen.entry] if screen.entry is not None else [])

    @property
    def shown_figure(self) -> str | None:
        """What the curves show: the figure that was asked for if a drawn run logs it, None for what tells most."""
        asked = self._shown.figure
        if asked in (None, figures.LOSS) or any(asked in entry.facts.metrics for entry in self.drawn):
            return asked
        return None

    @property
    def _curves(self) -> Mapping[str, Curve]:
        """The known curves of that figure, by path."""
        figure = self.shown_figure
        return {path: curve for path, curve in self._shown.curves.items() if curve.asked == figure}

    def read_curves(self) -> None:
        """Read the curves that are drawn and not known yet."""
        screen, known = self._shown, self._curves
        runs = [entry.run for entry in self.drawn if entry.path not in known]
        # The thread may outlive the screen, which then knows of no app any more.
        app, figure = screen.app, self.shown_figure
        self._drawn_figure = figure
        self._reading = bool(runs)
        self.draw()
        if not runs:
            return

        def tell(curve: Curve) -> None:
            app.call_from_thread(self._got, curve)

        app.in_thread("runs-curves", lambda: screen.desk.curves(runs, figure, tell), lambda _: self._all_read())

    def _got(self, curve: Curve) -> None:
        screen = self._shown
        if screen.is_attached and curve.asked == self.shown_figure:
            screen.curves[str(curve.run.path)] = curve
            drawn = {entry.path for entry in self.drawn}
            for path in [path for path in screen.curves if path not in drawn][: max(0, len(screen.curves) - _KEPT)]:
                del screen.curves[path]

    def _all_read(self) -> None:
        self._reading = False
        if self._shown.is_attached:
            self.draw()

    def _grow(self) -> None:
        """Take in what live runs have logged since."""
        curves = self._curves
        grown = [curves[entry.path].read() for entry in self.drawn if entry.live and entry.path in curves]
        if any(grown):
            self.draw()

    def draw(self) -> None:
        """Draw the curves as far as they are known."""
        screen, drawn, curves = self._shown, self.drawn, self._curves
        missing = sum(entry.path not in curves for entry in drawn)
        waiting = f"reading {missing} of {len(drawn)} curves" if missing and self._reading else ""
        more = max(0, len(screen.runs_pane.marked) - len(COLOURS))
        lines = lines_of([(entry.path, entry.run.name) for entry in drawn], curves)
        screen.overlay.show(lines, more=more, waiting=waiting)

    # -- differences -------------------------------------------------------------------------------------------

    def compare(self) -> None:
        """Compare the marked runs, or the only one with that under the cursor."""
        screen = self._shown
        entries = screen.runs_pane.marked[: len(COLOURS)]
        if len(entries) == 1 and screen.entry is not None and screen.entry.path != entries[0].path:
            entries = [*entries, screen.entry]
        if len(entries) < 2:
            screen.app.forget("runs-differ")
            self._compared(None)
            return

        def work() -> Compared:
            found = compared(screen.desk.terms([entry.run for entry in entries]))
            return Compared(tuple(entries), tuple(range(len(entries))), found)

        screen.app.in_thread("runs-differ", work, self._compared)

    def _compared(self, found: Compared | None) -> None:
        screen = self._shown
        if screen.is_attached:
            screen.differs.show(found)
            screen.set_class(found is not None and screen.tab != "facts", "-differs")
