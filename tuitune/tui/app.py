"""The app: one recipe, one run, one machine, and the clock that redraws what has changed twice a second."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.screen import Screen

from tuitune.monitor import Sampler
from tuitune.run import RunDir
from tuitune.run.places import home
from tuitune.tui.actions import keymap_problems
from tuitune.tui.atwork import AtWork
from tuitune.tui.changes import RecipeChanges
from tuitune.tui.clock import Clock
from tuitune.tui.control import Control
from tuitune.tui.datalook import DataLook
from tuitune.tui.draft import Draft
from tuitune.tui.fitting import Fitting
from tuitune.tui.hangup import install_signals
from tuitune.tui.inorder import InOrder
from tuitune.tui.leaving import LeaveActions
from tuitune.tui.messages import AdapterChosen, AskDevice, ChatWith, ModelChosen
from tuitune.tui.palette import Actions
from tuitune.tui.panes.chat import ChatPane
from tuitune.tui.partners import Partners
from tuitune.tui.recipes import RecipeActions
from tuitune.tui.running import RunActions
from tuitune.tui.settings import Settings
from tuitune.tui.showing import Showing
from tuitune.tui.theme import load_themes, role_defaults
from tuitune.tui.views import ViewActions, with_keys
from tuitune.tui.workbench import Workbench
from tuitune.tui.working import Working

_WIDTHS = [(0, "-narrow"), (100, "-two"), (136, "-three")]
_HEIGHTS = [(0, "-short"), (46, "-tall")]

TICK = 0.5  # seconds between two redraws: more costs the engine speed and the line bytes


class TuiTune(
    RunActions, LeaveActions, RecipeActions, RecipeChanges, ViewActions, Showing, Clock, Working, AtWork, InOrder
):
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
        self.draft.subscribe(self.recipe_changed)
        self.set_interval(TICK, self.tick)
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self.sampler.start()
        for note in self._notes:
            self.say(note, "warning")
        self._check_keymap()
        self.recipe_changed()
        self.watch_jobs()
        if any(problem.level == "error" for problem in self.draft.problems):
            self.say(str(next(each for each in self.draft.problems if each.level == "error")), "warning")
            self.action_recipe_problem()
        if self._first_run is not None:
            self.open_run(self._first_run, self._resume_talk)
        else:
            self.offer(aside=self._asked_for)

    def _check_keymap(self) -> None:
        def tell(problems: list[str]) -> None:
            for problem in problems:
                self.say(problem, "warning")

        if self.settings.keymap:  # a thread, as it imports every screen to know its keys
            self.in_thread("keymap", lambda: keymap_problems(self.settings.keymap, with_keys()), tell)

    def _resume_talk(self) -> None:
        """Go on with what was said to the run before the app was left."""
        run, bench = self.control.run, self.screen_of(Workbench)
        found = sorted((home() / "chats").glob("*.jsonl"), key=lambda path: path.stat().st_mtime)
        if run is None or bench is None or not found:
            return
        if found[-1].stat().st_mtime > run.recipe.stat().st_mtime:
            bench.query_one(ChatPane).resume(found[-1])

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

    def extra_commands(self) -> Iterable[tuple[str, str, Callable[[], None]]]:
        """Give the palette what has no key."""
        yield from self.commands_of_views()
        yield from self.commands_of_recipes()
        yield from self.commands_of_screens()
