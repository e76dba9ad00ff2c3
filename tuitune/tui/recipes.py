"""What the user does with the recipe as a whole: presets, open, save, YAML, the next problem, the largest batch."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.errors import TuiTuneError
from tuitune.run import RunDir
from tuitune.run.places import home
from tuitune.text import clean_line
from tuitune.tui.asking import Ask, Choice, PickItem
from tuitune.tui.folders import presets
from tuitune.tui.panes.recipe import RecipePane
from tuitune.tui.picking import pick
from tuitune.tui.recipefile import SaveRefused
from tuitune.tui.screens.table import kind_of
from tuitune.tui.workbench import Workbench

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

_OPEN = "another file"


class RecipeActions:
    """The actions on the recipe; a part of the app."""

    @property
    def _app(self) -> TuiTune:
        return self  # type: ignore[return-value]

    def action_recipe_preset(self) -> None:
        """Begin from a preset, a recent file or another one."""
        pick(self._app, "Begin from", self._beginnings, self._begun, group="presets")

    def _beginnings(self) -> list[PickItem]:
        items = [PickItem(f"preset:{each.name}", each.name, each.note, group="Presets") for each in presets()]
        items += [
            PickItem(f"file:{path}", clean_line(path.name), clean_line(str(path.parent)), group="Recent")
            for path in self._app.draft.recent()
        ]
        return [*items, PickItem(_OPEN, "open a file …", "", group="Files")]

    def _begun(self, chosen: str) -> None:
        kind, _, name = chosen.partition(":")
        if chosen == _OPEN:
            self.action_recipe_open()
        elif kind == "preset":
            self._change(lambda: self._app.draft.use_preset(name))
        elif kind == "file":
            self._change(lambda: self._app.draft.open(Path(name)))

    def action_recipe_open(self) -> None:
        """Open a recipe from a file."""
        from tuitune.tui.files import OpenFile

        self._app.push_screen(OpenFile(self._app.draft.recent()), self._opened)

    def _opened(self, path: Path | None) -> None:
        if path is not None:
            self._change(lambda: self._app.draft.open(path))

    def _change(self, change: Callable[[], None]) -> None:
        app = self._app
        lost = app.draft.dirty
        try:
            change()
        except TuiTuneError as error:
            app.say_error(error)
            return
        app.say(f"{app.draft.title} is open" + ("; ctrl+z brings the former recipe back" if lost else ""))

    def action_recipe_save(self) -> None:
        """Save the recipe to its file."""
        self._save(self._app.draft.path)

    def action_recipe_save_as(self) -> None:
        """Save the recipe to another file."""
        from tuitune.tui.files import SaveFile

        app = self._app
        app.push_screen(SaveFile(app.draft.path or Path.cwd() / app.draft.title), self._save_to)

    def _save_to(self, path: Path | None) -> None:
        if path is not None:
            self._save(path, force=True)

    def _save(self, path: Path | None, *, force: bool = False, make_folder: bool = False) -> None:
        app = self._app
        try:
            app.say(f"saved to {app.draft.save(path, force=force, make_folder=make_folder)}")
        except SaveRefused as error:
            self._refused(error, path)
        except TuiTuneError as error:
            app.say_error(error)

    def _refused(self, error: SaveRefused, path: Path | None) -> None:
        app = self._app
        if error.why in ("nameless", "preset"):
            self.action_recipe_save_as()
            return
        if error.why == "failed":
            app.say_error(error)
            return
        anyway = {"exists": "Replace it", "changed": "Replace it", "folder": "Make the folder"}[error.why]

        def chosen(answer: str | None) -> None:
            if answer == "as":
                self.action_recipe_save_as()
            elif answer == "anyway":
                self._save(path, force=error.why != "folder", make_folder=error.why == "folder")

        choices: list[Choice[str]] = [
            Choice("a", "Save under another name", "", "as"),
            Choice("r", anyway, "", "anyway"),
            Choice("esc", "Cancel", "", None),
        ]
        app.push_screen(Ask("Save all the same?", [error.message], choices), chosen)

    def action_recipe_text(self) -> None:
        """Change between the form and the YAML view."""
        from tuitune.tui.screens.yaml import YamlScreen

        app = self._app
        if isinstance(app.screen, YamlScreen):
            app.pop_screen()
        elif isinstance(app.screen, Workbench) or kind_of(app.screen) == "data":
            app.push_screen(YamlScreen())

    def action_recipe_problem(self) -> None:
        """Go to the next thing that is wrong."""
        app = self._app
        problems = sorted(app.draft.problems, key=lambda each: each.level != "error")
        if not problems:
            app.say("nothing is wrong with the recipe")
            return
        if app.draft.document is None and isinstance(app.screen, Workbench):
            self.action_recipe_text()
            return
        pane = next(iter(app.screen.query(RecipePane)), None)
        keys = [problem.key for problem in problems]
        after = keys.index(pane.cursor_key) + 1 if pane is not None and pane.cursor_key in keys else 0
        self.show_field(keys[after % len(keys)])

    def show_field(self, key: str) -> None:
        """Put the cursor of the form on a field."""
        screen = self._app.screen
        if isinstance(screen, Workbench):
            screen.action_pane("recipe")
        for pane in screen.query(RecipePane):
            pane.go_to(key)

    def action_recipe_fill(self) -> None:
        """Set the batch whose rows go through at once, and say what sets its limit."""
        app, recipe = self._app, self._app.draft.recipe()
        if recipe is None:
            app.say("the recipe is not ready; f8 shows what is wrong", "warning")
            return
        found = app.fitting.largest(recipe)
        if found.size is not None:
            app.draft.set("per_device_train_batch_size", found.size)
        back = "" if found.size is None else "; ctrl+z in the recipe takes it back"
        app.say(found.words + back, "information" if found.helps else "warning")

    def action_recipe_command(self) -> None:
        """Copy the command that does the same."""
        self._app.copy(shlex.join(self._app.draft.command()))

    def holds_recipe_of(self, run: RunDir) -> bool:
        """Tell whether the draft is the recipe of a run."""
        try:
            return run.recipe.read_text(encoding="utf-8") == self._app.draft.text
        except (OSError, UnicodeDecodeError):
            return False

    def commands_of_recipes(self) -> Iterator[tuple[str, str, Callable[[], None]]]:
        """Name what has no key, for the palette."""
        yield "recipe: Save as", "write the recipe to another file", self.action_recipe_save_as
        yield "recipe: Copy the command", "the tuitune train that does the same", self.action_recipe_command
        for number, draft in enumerate(self._app.draft.recovered()):
            name = f"recipe: Recover {clean_line(draft.title)} ({number + 1})"
            yield (
                name,
                "a draft that was not saved",
                lambda draft=draft: self._change(  # type: ignore[misc]
                    lambda: self._app.draft.recover(draft)
                ),
            )
        yield "recipe: Where things are kept", str(home()), lambda: self._app.say(f"runs, drafts, chats: {home()}")
