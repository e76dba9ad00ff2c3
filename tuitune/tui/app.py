"""The app: one recipe, one run, one machine, and the clock that redraws what has changed twice a second."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import ClassVar, TypeVar

from textual.binding import Binding, BindingType
from textual.screen import Screen

from tuitune.errors import TuiTuneError
from tuitune.face.asking import missing
from tuitune.fit import misfits
from tuitune.monitor import Sampler
from tuitune.recipe import Problem, Recipe
from tuitune.recipe.fields.online import ONLINE
from tuitune.run import RunDir, events
from tuitune.run.places import home
from tuitune.tui.actions import keymap_problems
from tuitune.tui.atwork import AtWork
from tuitune.tui.control import Control
from tuitune.tui.datalook import DataLook
from tuitune.tui.draft import Draft
from tuitune.tui.fitting import Fitting
from tuitune.tui.hangup import install_signals
from tuitune.tui.help import HelpScreen
from tuitune.tui.inorder import InOrder
from tuitune.tui.jump import JumpScreen
from tuitune.tui.keys import KeysLine
from tuitune.tui.leave import Leave
from tuitune.tui.messages import AdapterChosen, AskDevice, ChatWith, ModelChosen
from tuitune.tui.palette import Actions
from tuitune.tui.panes.answers import AnswersPane
from tuitune.tui.panes.chat import ChatPane
from tuitune.tui.panes.fitbar import FitBar
from tuitune.tui.panes.gpu import GpuPane
from tuitune.tui.panes.log import LogPane
from tuitune.tui.panes.loss import LossPane
from tuitune.tui.panes.models import ModelPane
from tuitune.tui.partners import Partners
from tuitune.tui.recipes import RecipeActions
from tuitune.tui.running import RunActions
from tuitune.tui.screens.table import PLACES, kind_of, made
from tuitune.tui.settings import Settings
from tuitune.tui.status import Status
from tuitune.tui.theme import load_themes, role_defaults
from tuitune.tui.views import ViewActions, with_keys
from tuitune.tui.workbench import Workbench
from tuitune.tui.working import Working

T = TypeVar("T")

_KEYS = (
    ("^t", "yaml", "recipe_text"),
    ("^o", "jump", "jump"),
    ("^p", "palette", "command_palette"),
    ("^q", "quit", "quit_app"),
    ("f1", "help", "help_here"),
)

_PLACES = ("model_name_or_path", "model_revision", "cache_dir", "dataset", "eval_dataset", "dataset_dir", "template",
           "adapter_name_or_path", "reward_file", "reward_weights", "report_to", "use_swanlab",
           *misfits.KEYS)  # fmt: skip
_WIDTHS = [(0, "-narrow"), (100, "-two"), (136, "-three")]
_HEIGHTS = [(0, "-short"), (46, "-tall")]

TICK = 0.5  # seconds between two redraws: more costs the engine speed and the line bytes


class TuiTune(RunActions, RecipeActions, ViewActions, Working, AtWork, InOrder):
    """The terminal application."""

    TITLE = "TuiTune"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar = {Actions}
    HORIZONTAL_BREAKPOINTS = _WIDTHS
    VERTICAL_BREAKPOINTS = _HEIGHTS
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+r", "run_toggle", "Start, pause, go on", id="run.toggle", priority=True),
        Binding("f9", "run_stop", "Stop", id="run.stop", priority=True, tooltip="stop the run and save; asks"),
        Binding("ctrl+g", "recipe_fill", "Largest batch", id="run.fill", tooltip="of rows that go through at once"),
        Binding("ctrl+t", "recipe_text", "YAML or form", id="recipe.text", priority=True),
        Binding("f8", "recipe_problem", "Next problem", id="recipe.problem", tooltip="go to what is wrong"),
        Binding("ctrl+n", "recipe_preset", "Presets", id="recipe.preset", tooltip="begin from a preset"),
        Binding("f7", "recipe_open", "Open a recipe", id="recipe.open"),
        Binding("f5", "recipe_save", "Save the recipe", id="recipe.save"),
        Binding("f3", "show('data')", "Data", id="screen.data", tooltip="which tokens are trained on"),
        Binding("f4", "show('runs')", "Runs", id="screen.runs", tooltip="every run: compare, note, resume, delete"),
        Binding("f6", "show('evaluate')", "Evaluate", id="screen.evaluate", tooltip="is the tuned model better?"),
        Binding("ctrl+o", "jump", "Jump", id="app.jump", priority=True, tooltip="one letter to any place"),
        Binding("P", "shoot", "Picture of the screen", id="app.picture", tooltip="an SVG file, private to you"),
        Binding("f1,question_mark", "help_here", "Help", id="app.help", tooltip="help for this pane"),
        Binding("ctrl+q", "quit_app", "Quit", id="app.quit", priority=True),
    ]

    def __init__(
        self,
        draft: Draft,
        settings: Settings,
        *,
        run: RunDir | None = None,
        log_to: Callable[[RunDir | None], None] = lambda run: None,
        ascii_glyphs: bool = False,
        sampler: Sampler | None = None,
        notes: Sequence[str] = (),
        busy: bool = False,
    ) -> None:
        self.draft, self.settings, self.ascii_glyphs = draft, settings, ascii_glyphs
        self.control = Control(self._tell, log_to)
        self.partners = Partners(recipe=draft.recipe, run=lambda: self.control.run, live=lambda: self.control.live)
        self.sampler = sampler or Sampler()
        self.fitting = Fitting(self.sampler)
        self.datalook = DataLook(self)
        self.beginning = self.ending = False
        self._trouble, self._warned_of_gpu = "", False
        self._named: tuple[str, ...] = ()
        self._first_run, self._notes = run, list(notes)
        self.evaluated: tuple[str | None, str] = (None, "")  # whom Evaluate was about last, and the run shown then
        self._asked_for = busy  # the user has come for a recipe: no question about other runs stands before it
        super().__init__()
        self._take_themes()

    def _take_themes(self) -> None:
        themes, problems = load_themes()
        for theme in themes:
            self.register_theme(theme)
        self._notes += problems
        self.theme = self.settings.theme if self.settings.theme in self.available_themes else "night"

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """Give every role a colour before a theme is chosen."""
        return role_defaults()

    def get_default_screen(self) -> Screen[None]:
        """Open on the Workbench."""
        return Workbench()

    def on_mount(self) -> None:
        """Start the clock, and after the first paint whatever takes time."""
        install_signals(self, self.hung_up, self.told_to_end)
        self.set_keymap(self.settings.keymap)
        self.settings.trouble = lambda text: self.say(text, "error")
        self.draft.subscribe(self._edited)
        self.set_interval(TICK, self.tick)
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self.sampler.start()
        for note in [*self._notes, *keymap_problems(self.settings.keymap, with_keys())]:
            self.say(note, "warning")
        self._edited()
        self.watch_jobs()
        if any(problem.level == "error" for problem in self.draft.problems):
            self.say(str(next(each for each in self.draft.problems if each.level == "error")), "warning")
            self.action_recipe_problem()
        if self._first_run is not None:
            self.open_run(self._first_run, self._resume_talk)
        else:
            self.offer(aside=self._asked_for)

    def _resume_talk(self) -> None:
        """Go on with what was said to the run before the app was left."""
        run, bench = self.control.run, self.screen_of(Workbench)
        found = sorted((home() / "chats").glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
        if run is None or bench is None or not found:
            return
        if found[-1].stat().st_mtime > run.recipe.stat().st_mtime:
            bench.query_one(ChatPane).resume(found[-1])

    # -- the clock ---------------------------------------------------------------------------------------------

    def tick(self) -> None:
        """Take in what is new and redraw what it changes."""
        found = self.control.poll()
        self.sampler.watch(self.control.pids())
        sample = self.sampler.latest()
        device = self.fitting.device(self.draft.recipe())
        view, screen = self.control.view, self.screen_of(Workbench)
        for status in self._everywhere(Status):
            status.show(view, device, sample.host.cpu_percent)
        if screen is not None and screen.query(LogPane):  # composed
            recipe = self.draft.recipe()
            loss, chat = screen.query_one(LossPane), screen.query_one(ChatPane)
            chat.show(view)
            loss.show_live_line(chat.last_live_line)
            loss.show(view, recipe)
            self.keep_liked(loss, chat)
            screen.query_one(LogPane).show(view)
            screen.query_one(AnswersPane).show(view)
            screen.offer_answers(view is not None and (len(view.samples) > 0 or view.picture.stage in ONLINE))
            for pane in screen.query(GpuPane):
                pane.show(sample, device=recipe.device if recipe is not None else "auto")
        self._keys()
        self._warn_of_draft()
        if self.control.release() or any(isinstance(event, events.RunFinished | events.RunFailed) for event in found):
            self._look_again()
        if self.control.tainted and not self._warned_of_gpu:
            self._warned_of_gpu = True
            self.offer_restart()
        if self.ending and not self.control.live:
            self._leave("quit")

    def _look_again(self) -> None:
        # A run has fetched its model, or left something to be trained further.
        self.fitting.forget()
        self._edited()
        for models in self._everywhere(ModelPane):
            models.action_look()

    def _warn_of_draft(self) -> None:
        # Once for each trouble: a full disk stays full.
        trouble, self._trouble = self._trouble, self.draft.trouble
        if self._trouble and self._trouble != trouble:
            self.say(self._trouble, "error")

    def screen_of(self, kind: type[T]) -> T | None:
        """Return the screen of a kind that is open."""
        return next((screen for screen in self.screen_stack if isinstance(screen, kind)), None)

    def _keys(self) -> None:
        view, live = self.control.view, self.control.live
        what = "start" if not live else "go on" if view is not None and view.picture.paused else "pause"
        first = ("^r", what, "run_toggle")
        if live and view is not None and view.status == "preparing":
            first = ("f9", "cancel", "run_stop")
        for screen in self.screen_stack:
            for line in screen.query(KeysLine):
                line.show(getattr(screen, "keys", [first, *_KEYS]))

    def note_focus(self) -> None:
        """Take notice of keys going elsewhere."""
        self._keys()

    # -- the recipe has changed --------------------------------------------------------------------------------

    def _edited(self) -> None:
        """Show what a change of the recipe means for the memory."""
        recipe = self.draft.recipe()
        self._look_for_places(recipe)
        for models in self._everywhere(ModelPane):
            models.show(str(self.draft.values.get("model_name_or_path", "")))
        if self.fitting.known(recipe):
            self.refit()
        else:
            self.in_thread("fit", lambda: self.fitting.look(recipe), lambda _: self.refit())

    def _look_for_places(self, recipe: Recipe | None) -> None:
        """Have a thread look whether what the recipe names is there, once for each change of a name."""
        document = self.draft.document
        if recipe is None or document is None:
            return
        names = tuple(str(getattr(recipe, key)) for key in _PLACES)
        if names != self._named:
            self._named, copy = names, document.copy()
            self.in_thread("places", lambda: missing(copy), self._tell_places)

    def _tell_places(self, problems: list[Problem]) -> None:
        self.draft.note([replace(problem, level="warning", line=None) for problem in problems])

    def refit(self) -> None:
        """Show the estimate of the recipe as it is now."""
        estimate, where, why = self.fitting.estimate(self.draft.recipe())
        for bar in self._everywhere(FitBar):
            bar.show(estimate, where, why)

    def _everywhere(self, kind: type[T]) -> Iterator[T]:
        for screen in self.screen_stack:
            yield from screen.query(kind)  # type: ignore[type-var]

    # -- what panes ask for ------------------------------------------------------------------------------------

    def on_model_chosen(self, message: ModelChosen) -> None:
        """Train another model."""
        self.draft.set("model_name_or_path", message.name)

    def on_adapter_chosen(self, message: AdapterChosen) -> None:
        """Train an adapter further."""
        if message.model:
            self.draft.set("model_name_or_path", message.model)
        self.draft.set("adapter_name_or_path", str(message.path))
        self.say(f"{message.path.name} is trained further; ctrl+z in the recipe takes it back")

    def on_ask_device(self, message: AskDevice) -> None:
        """Train on another device."""
        self.draft.set("device", message.device)

    def on_chat_with(self, message: ChatWith) -> None:
        """Talk to a model, an adapter or a run."""
        bench = self.screen_of(Workbench)
        if bench is not None:
            bench.query_one(ChatPane).choose(model=message.model, adapter=message.adapter, run=message.run)
            bench.action_pane("chat")

    # -- other screens -----------------------------------------------------------------------------------------

    def action_show(self, name: str) -> None:
        """Show a screen, or go back to where one came from."""
        if kind_of(self.screen) == name:
            self.pop_screen()
        else:
            self.show_screen(name)

    def show_screen(self, name: str, subject: str | None = None, *beside: str) -> None:
        """Show a screen about `subject`: a run, a folder or a model, named as a command would name it."""
        try:
            screen = made(name, subject, *beside)
        except Exception as error:  # a training in this process must not end with a screen that cannot be opened
            self.say(f"this screen cannot be opened: {type(error).__name__}: {error}", "error")
            return
        here = kind_of(self.screen)
        if here is not None and here != name:
            self.switch_screen(screen)
        else:
            self.push_screen(screen)

    def action_jump(self) -> None:
        """Show a letter at every place."""
        self.push_screen(JumpScreen.over(self.screen))

    def action_help_here(self) -> None:
        """Explain the pane that has the keys."""
        self.push_screen(HelpScreen.for_focus(self))

    def extra_commands(self) -> Iterable[tuple[str, str, Callable[[], None]]]:
        """Give the palette what has no key."""
        yield from self.commands_of_views()
        yield from self.commands_of_recipes()
        for place in PLACES:
            yield f"screen: {place.title}", place.note, partial(self.show_screen, place.name)

    def leave(self, leave: Leave) -> None:
        """End the screen; what happens to the run is in `leave`."""
        with contextlib.suppress(TuiTuneError):
            self.draft.close()
        self.settings.flush()
        self.sampler.stop()
        self.exit(leave)

    def hung_up(self) -> None:
        """The terminal is gone: go on without it."""
        self._leave("lost")

    def told_to_end(self) -> None:
        """SIGTERM: save and end."""
        if self.control.working:
            from tuitune.run.inbox import Stop

            self.ending = True
            self.steer(Stop())
        else:
            self._leave("quit")
