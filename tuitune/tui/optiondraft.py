"""The settings of a command, edited like a recipe and kept from one session to the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping

from tuitune.errors import RecipeError
from tuitune.recipe import FIELDS, Document, Problem, Recipe
from tuitune.recipe.check import examine
from tuitune.recipe.option import Purpose
from tuitune.recipe.yamltext import dump, read_text
from tuitune.run import places
from tuitune.run.files import private_dir, write_atomic
from tuitune.tui.base import Base
from tuitune.tui.edited import Sections
from tuitune.tui.steps import Step, Steps


def group(*names: str) -> tuple[str, ...]:
    """Return the keys of some groups of the declarations."""
    return tuple(field.name for name in names for field in FIELDS.values() if field.group == name)


class OptionDraft:
    """Some keys for one command, those of `sections`; what was set stays in `$TUITUNE_HOME/options/NAME.yaml`.

    The values in force are the user's own over those of what the command is about (`about`). once: keys that are not
    taken over from an earlier session. `trouble` says in words why the file cannot be written.
    """

    def __init__(self, name: str, purpose: Purpose, sections: Sections, *, once: Collection[str] = ()) -> None:
        self.name, self.purpose = name, purpose
        self.sections: Sections | None = sections
        self.cursor: str | None = None
        self.problems: list[Problem] = []
        self.values: dict[str, object] = {}
        self.document: Document | None = None
        self.trouble = ""
        self._own = Document.parse("")
        self._about: dict[str, object] = {}
        self._subscribers: list[Callable[[], None]] = []
        self._keys = frozenset(key for _, keys in sections for key in keys)
        text = self._kept(frozenset(once)) or f"# What was set last for `tuitune {name}` in the app.\n"
        self._steps = Steps(Step(text, Base()), time.monotonic)
        self._take(text)

    # -- what there is -----------------------------------------------------------------------------------------

    @property
    def base_values(self) -> dict[str, object]:
        """The values of what the command is about."""
        return self._about

    @property
    def origin(self) -> str:
        """What those are of."""
        return "the run's"

    @property
    def changed(self) -> frozenset[str]:
        """The keys that the user has set."""
        return frozenset(self._own.keys())

    def value(self, key: str) -> object:
        """Return what is in force for a key: the user's value, the subject's, or the default."""
        value = self.values.get(key)
        return FIELDS[key].default if value is None else value

    def recipe(self) -> Recipe | None:
        """Return the values as a recipe; None while one is wrong."""
        return None if self.wrong else examine(self.values, purpose=self.purpose)[0]

    @property
    def wrong(self) -> list[Problem]:
        """What must be mended before the command can be given."""
        return [problem for problem in self.problems if problem.level == "error"]

    def settings(self) -> list[str]:
        """Return `key=value` for what the user has set and means something now. Raises RecipeError if it is wrong."""
        if self.wrong:
            raise RecipeError(self.wrong, "the settings")
        own = self._own.values()
        return [f"{key}={dump(value)}" for key, value in own.items() if FIELDS[key].applies(self.values)]

    # -- what is done to it ------------------------------------------------------------------------------------

    def about(self, values: Mapping[str, object]) -> None:
        """Say what the command is about: the raw values of a run's recipe, which hold where nothing is set."""
        if dict(values) != self._about:
            self._about = dict(values)
            self._judge()
            self._tell()

    def set(self, key: str, value: object) -> None:
        """Give a key a value; a wrong one is kept, so that its problem shows."""
        self._edit(key, lambda document: document.set(key, value))

    def remove(self, key: str) -> None:
        """Take a key out: what the command is about decides again, or the default."""
        self._edit(key, lambda document: document.remove(key))

    def undo(self) -> bool:
        """Take the last step back; return whether there was one."""
        return self._moved(self._steps.back())

    def redo(self) -> bool:
        """Make the step that was taken back again; return whether there was one."""
        return self._moved(self._steps.forth())

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called after every change; return what ends that."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback) if callback in self._subscribers else None

    def _edit(self, key: str, change: Callable[[Document], None]) -> None:
        document = self._own.copy()
        change(document)
        if document.text() != self._own.text():
            self._steps.add(Step(document.text(), Base(), key))
            self._go(key)

    def _moved(self, step: Step | None) -> bool:
        if step is not None:
            self._go(step.key)
        return step is not None

    def _go(self, key: str | None) -> None:
        self.cursor = key
        self._take(self._steps.now.text)
        self._keep(self._steps.now.text)
        self._tell()

    def _take(self, text: str) -> None:
        self._own = Document.parse(text)
        self.document = self._own
        self._judge()

    def _judge(self) -> None:
        self.values = {**self._about, **self._own.values()}
        found = examine(self.values, purpose=self.purpose)[1]
        self.problems = [problem for problem in found if problem.key in self._keys]

    def _tell(self) -> None:
        for callback in tuple(self._subscribers):
            callback()

    # -- from session to session -------------------------------------------------------------------------------

    def _kept(self, once: frozenset[str]) -> str:
        """Return what was kept last, without keys that the form does not have: nobody could take them out."""
        try:
            kept = Document.parse(read_text(places.home() / "options" / f"{self.name}.yaml"))
        except RecipeError:
            return ""
        for key in set(kept.keys()) - (self._keys - once):
            kept.remove(key)
        return kept.text()

    def _keep(self, text: str) -> None:
        try:
            folder = private_dir(places.home() / "options")
            write_atomic(folder / f"{self.name}.yaml", text.encode())
            self.trouble = ""
        except OSError as error:
            self.trouble = f"the settings cannot be kept: {error.strerror}"
