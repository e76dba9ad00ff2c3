"""What the keys of the Runs screen do with the list, its curves, and other parts of the app."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from tuitune.errors import TuiTuneError
from tuitune.face import figures
from tuitune.face.clone import cloned, free_name
from tuitune.face.runs import ORDERS, STATES, Wanted, is_so
from tuitune.run import Inbox, RunDir, State
from tuitune.run.inbox import Stop
from tuitune.run.shelf import Entry
from tuitune.run.state import refuse_suspended
from tuitune.text import clean_line
from tuitune.tui.asking import Ask, Choice, Picker, PickItem
from tuitune.tui.messages import ChatWith
from tuitune.tui.panes.runs_overlay import OverlayPane
from tuitune.tui.workbench import Workbench

if TYPE_CHECKING:
    from tuitune.tui.screens.runs import RunsScreen


class RunsActions:
    """The actions; a part of the screen."""

    @property
    def _screen(self) -> RunsScreen:
        return self  # type: ignore[return-value]

    def _with(self, work: Callable[[Entry], None]) -> None:
        """Do something with the run under the cursor; what is wrong with that is said."""
        screen = self._screen
        if screen.entry is None and not screen.runs_pane.known:
            screen.when_listed = lambda: self._with(work)  # a key that was faster than the disk
            return
        if screen.entry is None:
            screen.app.say("no run is chosen")
            return
        try:
            work(screen.entry)
        except TuiTuneError as error:
            screen.app.say_error(error)

    # -- the list ----------------------------------------------------------------------------------------------

    def action_mark(self) -> None:
        """Mark the run under the cursor, or not."""
        self._screen.runs_pane.table.action_mark()

    def action_all(self) -> None:
        """Mark all that are listed, or none."""
        self._screen.runs_pane.table.mark_all()

    def action_search(self) -> None:
        """Go to the line to search with."""
        screen = self._screen
        if screen.tab != "list":
            screen.tab = "list"
            screen.place_panes()
        screen.call_after_refresh(screen.runs_pane.line.focus)

    def action_sort(self) -> None:
        """Choose an order."""
        items = [PickItem(key, order.title, "falling" if order.falling else "") for key, order in ORDERS.items()]
        self._screen.app.push_screen(Picker("Sort by", items, chosen=self._screen.runs_pane.order), self._sorted)

    def _sorted(self, order: str | None) -> None:
        pane = self._screen.runs_pane
        if order is not None and order != pane.order:
            pane.sort(order)

    def action_turn(self) -> None:
        """Turn the order round."""
        pane = self._screen.runs_pane
        pane.sort(pane.order)

    def action_filter(self) -> None:
        """Choose which runs are listed."""
        entries = self._screen.runs_pane.all
        items = [PickItem("all", "all runs", f"{len(entries):,}")]
        for state in STATES:
            if count := sum(is_so(entry, state) for entry in entries):
                items.append(PickItem(f"state:{state}", state, f"{count:,}", group="State"))
        stages = Counter(entry.facts.stage for entry in entries if entry.facts.stage)
        items += [PickItem(f"stage:{clean_line(name)}", clean_line(name), f"{count:,}", group="Stage")
                  for name, count in stages.most_common()]  # fmt: skip
        tags = Counter(tag for entry in entries for tag in entry.remarks.tags)
        items += [PickItem(f"tag:{tag}", f"#{clean_line(tag)}", f"{count:,}", group="Tag")
                  for tag, count in tags.most_common()]  # fmt: skip
        self._screen.app.push_screen(Picker("Which runs?", items), self._filtered)

    def _filtered(self, chosen: str | None) -> None:
        kind, _, name = (chosen or "").partition(":")
        kinds = {"all": Wanted(), "state": Wanted(states=(name,)), "stage": Wanted(stages=(name,)),
                 "tag": Wanted(tags=(name,))}  # fmt: skip
        if kind in kinds:
            self._screen.runs_pane.want(kinds[kind])

    # -- the curves --------------------------------------------------------------------------------------------

    @property
    def _overlay(self) -> OverlayPane:
        return self._screen.overlay

    def action_across(self) -> None:
        """Change what stands along the foot of the curves."""
        self._overlay.turn_across()

    def action_log(self) -> None:
        """Change between logarithmic and linear values."""
        self._overlay.turn_log()

    def action_smooth(self) -> None:
        """Take the next smoothing."""
        self._overlay.turn_smoothing()

    def action_kinds(self) -> None:
        """Draw the training, the evaluations, or both."""
        self._overlay.turn_kinds()

    def action_figure(self) -> None:
        """Draw another figure that the runs have logged."""
        screen = self._screen
        drawn = screen.drawn
        names = dict.fromkeys([
            *(figures.main(entry.facts.stage) for entry in drawn[:1]), figures.LOSS,
            *(name for entry in drawn for name in figures.telling(entry.facts.stage, entry.facts.metrics)),
            *(name for entry in drawn for name in entry.facts.metrics),
        ])  # fmt: skip
        known = list(names)
        if len(known) < 2:
            screen.app.say("these runs have logged no other figure than their loss")
            return
        name = known[(known.index(screen.shown_figure or known[0]) + 1) % len(known)]
        screen.figure = None if name == known[0] else name
        screen.read_curves()

    # -- other parts of the app --------------------------------------------------------------------------------

    def action_open(self) -> None:
        """Show the run on the Workbench: its curve, log and recipe."""
        self._with(lambda entry: self._leave_for(lambda: self._screen.app.open_run(entry.run)))

    def _leave_for(self, then: Callable[[], None]) -> None:
        """Go back to the Workbench, then do something there."""
        app = self._screen.app
        while not isinstance(app.screen, Workbench) and len(app.screen_stack) > 1:
            app.pop_screen()
        app.call_after_refresh(then)

    def action_clone(self) -> None:
        """Take the run's recipe for a new one."""

        def work(entry: Entry) -> None:
            app = self._screen.app
            document, notes = cloned(entry.run)
            lost = app.draft.dirty
            app.draft.begin(document.text(), free_name(entry.run))
            notes += ["ctrl+z brings the former recipe back"] if lost else []
            app.say("; ".join([f"a new run from {entry.run.name}: ctrl+r starts it", *notes]))
            self._leave_for(lambda: app.show_field("learning_rate"))

        self._with(work)

    def action_resume(self) -> None:
        """Go on with a run that has not come to its end."""

        def work(entry: Entry) -> None:
            app = self._screen.app
            if entry.live:
                app.say(f"{entry.run.name} trains already; enter opens it")
            elif entry.imported:
                app.say(f"{entry.run.name} was imported; n begins a new run from its recipe", "warning")
            elif entry.status == "finished":
                app.say(f"{entry.run.name} has finished; n begins a new run from its recipe")
            else:
                self._leave_for(lambda: app.open_run(entry.run, lambda: app.resume(entry.run)))

        self._with(work)

    def action_stop(self) -> None:
        """Ask whether a live run shall stop."""

        def work(entry: Entry) -> None:
            app = self._screen.app
            if not entry.live:
                app.say(f"{entry.run.name} does not train")
                return
            if app.control.run is not None and app.control.run.path == entry.run.path:
                app.action_run_stop()
                return
            of = f" of {entry.total_steps:,}" if entry.total_steps else ""
            choices: list[Choice[bool]] = [
                Choice("esc", "Go on", "", None),
                Choice("s", "Stop and save", "a checkpoint of the last whole step", True),
            ]
            ask = Ask(f"Stop {entry.run.name}?", [f"It is at step {entry.step:,}{of}."], choices)
            app.push_screen(ask, lambda sure: self._stop(entry.run) if sure else None)

        self._with(work)

    def _stop(self, run: RunDir) -> None:
        state, app = State.read(run.state), self._screen.app
        if state is None:
            return
        try:
            refuse_suspended(state, run.name)
        except TuiTuneError as error:
            app.say_error(error)
            return
        Inbox(run.inbox).send(replace(Stop(), attempt=state.attempt))
        app.say(f"{run.name} is told to stop and save")

    def action_chat(self) -> None:
        """Ask the run's weights."""
        app = self._screen.app
        self._with(lambda entry: self._leave_for(lambda: app.on_chat_with(ChatWith(run=entry.run.path))))

    def action_beside(self) -> None:
        """Have two marked runs answer beside each other, else that under the cursor beside what it was before."""
        screen = self._screen
        if len(pair := screen.runs_pane.marked) == 2:
            screen.app.show_screen("compare", pair[0].path, pair[1].path)
        else:
            self.action_go("compare")

    def action_go(self, name: str) -> None:
        """Open another screen about the run."""
        self._with(lambda entry: self._screen.app.show_screen(name, entry.path))

    def action_back(self) -> None:
        """End the zoom, else leave."""
        screen = self._screen
        if screen.zoomed and not screen.narrow:
            screen.action_zoom_pane()
        elif screen.runs_pane.line.value:
            screen.runs_pane.line.value = ""
        else:
            screen.app.pop_screen()
