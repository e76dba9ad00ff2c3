"""What the user does with a run: start, pause, go on, save, stop, change its rate, look at another one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tuitune.errors import TuiTuneError
from tuitune.run import RunDir, RunSummary, summary
from tuitune.run.inbox import Command, Continue, Pause, Save, SetLearningRate, Stop, StopNow
from tuitune.tui.asking import Ask, Choice, TextAsk
from tuitune.tui.leaving import so_far
from tuitune.tui.runview import RunView

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

_RESUMABLE = ("stopped", "crashed", "failed", "created")


class RunActions:
    """The actions on runs; a part of the app."""

    @property
    def _app(self) -> TuiTune:
        return self  # type: ignore[return-value]

    def action_run_toggle(self) -> None:
        """Start a run, pause it, let it go on."""
        app, view = self._app, self._app.control.view
        if app.beginning:
            app.say("the run is being prepared; f9 cancels it")
        elif not app.control.live:
            self._start_or_resume()
        elif view is not None and view.picture.paused:
            self.steer(Continue(), "the run goes on")
        else:
            soon = "" if view is not None and view.picture.training else " before its first step"
            self.steer(Pause(), f"paused{soon}; ctrl+r goes on")

    def _start_or_resume(self) -> None:
        app, view = self._app, self._app.control.view
        if app.draft.recipe() is None:
            problem = next((each for each in app.draft.problems if each.level == "error"), None)
            app.say(f"the recipe is not ready: {problem}" if problem else "the recipe is not ready", "error")
            app.action_recipe_problem()
            return
        if view is None or view.status not in _RESUMABLE or view.picture.step == 0:
            self._start()
        elif app.holds_recipe_of(view.run):
            self._ask_resume(view, "with this very recipe", "Resume it", lambda: self.resume(view.run))
        elif app.draft.run == view.run.name:
            self._ask_resume(view, "The recipe was changed since.", "Resume with the changes", self._resume_changed)
        else:
            self._start()

    def _ask_resume(self, view: RunView, fact: str, title: str, resume: Callable[[], None]) -> None:
        step, total = view.picture.step, view.picture.total

        def chosen(answer: str | None) -> None:
            if answer == "resume":
                resume()
            elif answer == "new":
                self._start()

        ended = f"{view.run.name} ended at step {step} of {total or '?'}"
        facts = [f"{ended} {fact}."] if fact.startswith("with") else [f"{ended}.", fact]
        choices: list[Choice[str]] = [
            Choice("r", title, f"from {_from(summary(view.run))}", "resume"),
            Choice("n", "Start a new run", "from step 0, in a place of its own", "new"),
            Choice("esc", "Cancel", "", None),
        ]
        self._app.push_screen(Ask("Go on, or begin anew?", facts, choices), chosen)

    def _resume_changed(self) -> None:
        from tuitune.face.change import change_recipe

        app, view = self._app, self._app.control.view
        document = app.draft.document
        assert document is not None
        assert view is not None

        def find() -> RunDir:
            change_recipe(view.run, document, tell=lambda text: app.say(text, "warning"))
            return view.run

        app.begin_work(find)

    def _start(self) -> None:
        app = self._app
        document = app.draft.document
        assert document is not None
        name = app.draft.own_name
        app.begin_work(lambda: app.control.begin(document, name))

    def resume(self, run: RunDir) -> None:
        """Go on with a run from its newest checkpoint."""
        app = self._app
        app.begin_work(lambda: run)

    def steer(self, command: Command, done: str = "") -> None:
        """Send a command to the run; what is wrong with that is said."""
        try:
            self._app.control.ask(command, done)
        except TuiTuneError as error:
            self._app.say_error(error)

    def action_run_save(self) -> None:
        """Write a checkpoint now."""
        self.steer(Save(), "saved")

    def action_run_stop(self) -> None:
        """Ask how to stop."""
        app, view = self._app, self._app.control.view
        if app.beginning or not app.control.live or view is None:
            app.say("no run is training; ctrl+r starts one")
            return
        training = view.picture.training
        what = "Stop and save" if training else "Cancel it"
        note = "a checkpoint of the last whole step" if training else "nothing is trained yet"
        choices: list[Choice[Command]] = [
            Choice("s", what, note, Stop()),
            Choice("n", "Stop without saving", _stays(view), StopNow()),
            Choice("esc", "Leave it paused" if view.picture.paused else "Go on", "", None),
        ]
        facts = [so_far(view), _kept(view)]
        app.push_screen(Ask("Stop the run?", facts, choices), self._stopped)

    def _stopped(self, command: Command | None) -> None:
        if command is not None:
            self.steer(command, "stopping")

    def action_run_rate(self) -> None:
        """Ask for another learning rate."""
        app, view = self._app, self._app.control.view
        if not app.control.live or view is None:
            app.say("no run is training; before the start it is learning_rate in the recipe")
            return
        logged = view.picture.logged
        now = f"{logged.learning_rate:.3g}" if logged is not None else ""

        def chosen(text: str | None) -> None:
            if text is not None:
                self.steer(SetLearningRate(float(text)))

        ask = TextAsk("Peak learning rate from here on; the schedule scales it", value=now, validate=_rate_problem)
        app.push_screen(ask, chosen)

    def open_run(self, run: RunDir, then: Callable[[], None] = lambda: None) -> None:
        """Show a run: its curve, log and recipe."""
        app = self._app

        def read() -> RunView:
            view = RunView(run)
            view.poll()
            return view

        def show(view: RunView) -> None:
            try:
                app.control.watch(view)
            except TuiTuneError as error:
                app.say_error(error)
                return
            if run.recipe.is_file() and not app.control.working:
                app.draft.adopt(run)
            app.tick()
            app.show_curve()
            then()

        app.in_thread("open", read, show)


def _kept(view: RunView) -> str:
    saved = view.picture.saved
    return f"Last checkpoint: {saved.step}." if saved is not None else "There is no checkpoint yet."


def _stays(view: RunView) -> str:
    saved = view.picture.saved
    return "the last checkpoint stays" if saved is not None else "what it has learnt is lost"


def _from(found: RunSummary) -> str:
    return found.checkpoint.name if found.checkpoint is not None else "the beginning: it has no checkpoint"


def _rate_problem(text: str) -> str | None:
    try:
        SetLearningRate(float(text))
    except ValueError:
        return "not a number; write it like 2e-5"
    except TuiTuneError as error:
        return error.message
    return None
