"""The clock of the app: twice a second it takes in what is new, and has redrawn what that changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tuitune.monitor import Sample
from tuitune.recipe.fields.online import ONLINE
from tuitune.run import events
from tuitune.tui.keys import KeysLine
from tuitune.tui.panes.answers import AnswersPane
from tuitune.tui.panes.chat import ChatPane
from tuitune.tui.panes.gpu import GpuPane
from tuitune.tui.panes.log import LogPane
from tuitune.tui.panes.loss import LossPane
from tuitune.tui.panes.models import ModelPane
from tuitune.tui.status import Status
from tuitune.tui.workbench import Workbench

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

_KEYS = (
    ("^t", "yaml", "recipe_text"),
    ("^o", "jump", "jump"),
    ("^p", "palette", "command_palette"),
    ("^q", "quit", "quit_app"),
    ("f1", "help", "help_here"),
)


class Clock:
    """What is looked at and redrawn again and again; a part of the app."""

    _trouble, _warned_of_gpu = "", False

    @property
    def _app(self) -> TuiTune:
        return self  # type: ignore[return-value]

    def tick(self) -> None:
        """Take in what is new and redraw what it changes."""
        app = self._app
        found = app.control.poll()
        app.sampler.watch(app.control.pids())
        self._redraw()
        self.note_focus()
        self._warn_of_draft()
        if app.control.release() or any(isinstance(event, events.RunFinished | events.RunFailed) for event in found):
            self._look_again()
        if app.control.tainted and not self._warned_of_gpu:
            self._warned_of_gpu = True
            app.offer_restart()
        if app.ending and not app.control.live:
            app.leave_as("quit")

    def _redraw(self) -> None:
        app, view = self._app, self._app.control.view
        sample, device = app.sampler.latest(), app.fitting.device(app.draft.recipe())
        for status in app.everywhere(Status):
            status.show(view, device, sample.host.cpu_percent)
        bench = app.screen_of(Workbench)
        if bench is not None and bench.query(LogPane):  # composed
            self._redraw_bench(bench, sample)

    def _redraw_bench(self, bench: Workbench, sample: Sample) -> None:
        app, view, recipe = self._app, self._app.control.view, self._app.draft.recipe()
        loss, chat = bench.query_one(LossPane), bench.query_one(ChatPane)
        chat.show(view)
        loss.show_live_line(chat.last_live_line)
        loss.show(view, recipe)
        app.keep_liked(loss, chat)
        bench.query_one(LogPane).show(view)
        bench.query_one(AnswersPane).show(view)
        bench.offer_answers(view is not None and (len(view.samples) > 0 or view.picture.stage in ONLINE))
        for pane in bench.query(GpuPane):
            pane.show(sample, device=recipe.device if recipe is not None else "auto")

    def _look_again(self) -> None:
        # A run has fetched its model, or left something to be trained further.
        self._app.fitting.forget()
        self._app.recipe_changed()
        for models in self._app.everywhere(ModelPane):
            models.action_look()

    def _warn_of_draft(self) -> None:
        # Once for each trouble: a full disk stays full.
        trouble, self._trouble = self._trouble, self._app.draft.trouble
        if self._trouble and self._trouble != trouble:
            self._app.say(self._trouble, "error")

    def note_focus(self) -> None:
        """Show the keys of where the keys go now."""
        app, view = self._app, self._app.control.view
        what = "start" if not app.control.live else "go on" if view is not None and view.picture.paused else "pause"
        first = ("^r", what, "run_toggle")
        if app.control.live and view is not None and view.status == "preparing":
            first = ("f9", "cancel", "run_stop")
        for screen in app.screen_stack:
            for line in screen.query(KeysLine):
                line.show(getattr(screen, "keys", [first, *_KEYS]))
