"""The recipe being edited: its text, what is wrong with it, every step back, and nothing of it ever lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tuitune import resources
from tuitune.errors import UsageError
from tuitune.recipe import Document, Problem, Recipe
from tuitune.recipe.option import Purpose
from tuitune.recipe.yamltext import read_text
from tuitune.run import RunDir
from tuitune.tui import kept, recipefile
from tuitune.tui.base import Base, Verdict, judge
from tuitune.tui.draftfacts import DraftFacts
from tuitune.tui.edited import Sections
from tuitune.tui.kept import Recovered
from tuitune.tui.steps import Step, Steps

__all__ = ["Draft", "Recovered", "Verdict", "judge"]


class Draft(DraftFacts):
    """A recipe in the making. Not for several threads at once; `judge` and `kept` do what takes long.

    Every edit is one step that `undo` takes back, opening another file included; `cursor` names the key it was about.
    """

    purpose: Purpose = "train"
    sections: Sections | None = None  # of the form: all there are

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.cursor: str | None = None
        self.problems: list[Problem] = []
        self.document = None
        self.values = {}
        self.pending = False
        self._steps = Steps(Step("", Base()), clock)
        self._subscribers: list[Callable[[], None]] = []
        self._noted: list[tuple[object, Problem]] = []
        self._settle(judge(""))

    def recipe(self) -> Recipe | None:
        """Return the recipe; None while it has errors."""
        self._judge_pending()
        if self.document is None or any(problem.level == "error" for problem in self.problems):
            return None
        return self.document.recipe()

    def set(self, key: str, value: object) -> None:
        """Give a key a value. Raises UsageError while the text cannot be read."""
        self._edit(key, lambda document: document.set(key, value))

    def set_text(self, key: str, text: str) -> None:
        """Give a key a value as typed, as in `key=value`; a wrong one is kept, so that its problem shows."""
        self._edit(key, lambda document: document.override(f"{key}={text}"))

    def remove(self, key: str) -> None:
        """Take a key out, back to its default."""
        self._edit(key, lambda document: document.remove(key))

    def replace(self, text: str, *, merge: bool = False, later: bool = False) -> None:
        """Put another text in its place. With `merge`, what is typed without a pause becomes one step.

        With `later` it is not judged: the draft is `pending` until `settle` is told what `judge` says, or until an edit
        by key needs to know.
        """
        if text != self.text:
            self._step(Step(text, self._base), merge=merge, later=later)

    def settle(self, verdict: Verdict) -> None:
        """Take what a thread found out about the text, unless that has changed since."""
        if self.pending and verdict.text == self.text:
            self._settle(verdict)
            self._tell()

    def undo(self, *, later: bool = False) -> bool:
        """Take the last step back; return whether there was one. `later` is as for `replace`."""
        return self._moved(self._steps.back(), later=later)

    def redo(self, *, later: bool = False) -> bool:
        """Make the step that was taken back again; return whether there was one."""
        return self._moved(self._steps.forth(), later=later)

    def note(self, problems: Sequence[Problem]) -> None:
        """Tell of what only a look at the disk shows, such as data that are not there; it stays with its value."""
        noted = [(self.values.get(each.key), each) for each in problems]
        if noted != self._noted:
            old = [each for _, each in self._noted]
            self._noted = noted
            self.problems = [each for each in self.problems if each not in old] + list(problems)
            self._tell()

    def open(self, path: Path) -> None:
        """Go on with a file. Raises RecipeError when it cannot be read; a text that is no recipe yet is opened."""
        path = path.expanduser().absolute()
        base = Base(path=path, stamp=recipefile.stamp(path)).read(read_text(path), path)
        self._begin(base)
        kept.remember(path)

    def use_preset(self, name: str) -> None:
        """Go on with a preset. Raises UsageError when there is none of that name."""
        path = resources.preset(name)
        self._begin(Base(preset=path.stem).read(read_text(path), path))

    def begin(self, text: str, name: str) -> None:
        """Go on with a text that lies nowhere yet, such as another run's recipe, under a name of its own."""
        self._begin(Base(run=name).read(text, None))

    def save(self, path: Path | None = None, *, force: bool = False, make_folder: bool = False) -> Path:
        """Write the text to its file, or to another, and return that.

        Raises SaveRefused in words: for a preset, a missing folder, or a file that holds what the user has not seen,
        which `force` replaces.
        """
        target = self._base.save(self.text, path, force=force, make_folder=make_folder)
        self._steps.pause()
        self._take()
        return target

    def recover(self, draft: Recovered) -> None:
        """Go on with a draft that another app left. Raises UsageError when a third one was faster."""
        base = Base(path=draft.path, preset=draft.preset, run=draft.run)
        base.keeper.adopt(draft.file)
        source = draft.path
        if source is None and draft.preset is not None:
            source = resources.all_presets().get(draft.preset)
        self._begin(base.read(draft.base_text, source), draft.text)

    def adopt(self, run: RunDir) -> None:
        """Go on with the recipe of a run, unless it is this one. Raises RecipeError when it cannot be read."""
        text = read_text(run.recipe)
        if text != self.text:
            self._begin(Base(run=run.name).read(text, run.recipe))

    @staticmethod
    def recovered() -> list[Recovered]:
        """Return the drafts that crashed or closed apps left, newest first."""
        return kept.recovered()

    @staticmethod
    def recent() -> list[Path]:
        """Return the files opened or saved last, newest first."""
        return kept.recent()

    def close(self) -> None:
        """End the editing in good order: what is not saved is kept for the next time, of former recipes too."""
        self._base.keep(self.text)
        for base in self._steps.bases():
            base.keeper.close()
        kept.flush_all()

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called after every change; return what ends that."""
        self._subscribers.append(callback)
        return lambda: self._subscribers.remove(callback) if callback in self._subscribers else None

    def _edit(self, key: str, change: Callable[[Document], None]) -> None:
        self._judge_pending()
        if self.document is None:
            raise UsageError("the text cannot be read as a recipe", "mend it in the YAML view first, or undo")
        document = self.document.copy()
        change(document)
        if document.text() != self.text:
            self._step(Step(document.text(), self._base, key), document=document.copy())

    def _judge_pending(self) -> None:
        if self.pending:
            self._settle(judge(self.text, self.source))

    def _begin(self, base: Base, text: str | None = None) -> None:
        self._step(Step(base.text if text is None else text, base))

    def _step(self, step: Step, *, merge: bool = False, later: bool = False, document: Document | None = None) -> None:
        self._steps.add(step, merge=merge)
        self.cursor = step.key
        self._take(later=later, document=document)

    def _moved(self, step: Step | None, *, later: bool) -> bool:
        if step is None:
            return False
        self.cursor = step.key
        self._take(later=later)
        return True

    def _take(self, *, later: bool = False, document: Document | None = None) -> None:
        self.pending = later
        self._base.keep(self.text)
        if not later:
            self._settle(judge(self.text, self.source, document))
        self._tell()

    def _settle(self, verdict: Verdict) -> None:
        self.pending = False
        self.document, self.problems = verdict.document, list(verdict.problems)
        if verdict.document is not None:
            self.values = verdict.document.values()
        self.problems += [each for value, each in self._noted if self.values.get(each.key) == value]

    def _tell(self) -> None:
        for callback in tuple(self._subscribers):
            callback()
