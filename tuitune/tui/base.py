"""What a draft began from, a file or a preset: what differs from it, and how the difference is told or saved."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from tuitune.errors import RecipeError
from tuitune.recipe import FIELDS, Document, Problem
from tuitune.recipe.yamltext import dump
from tuitune.tui import kept, recipefile
from tuitune.tui.kept import Keeper, Recovered

Values = dict[str, object]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be said about a text: its document, if it is one, and its problems."""

    text: str
    document: Document | None
    problems: tuple[Problem, ...]


def judge(text: str, source: Path | None = None, document: Document | None = None) -> Verdict:
    """Return what is to be said about a text. It touches nothing else, so a thread may do it for a long one."""
    try:
        document = document or Document.parse(text, source)
    except RecipeError as error:
        return Verdict(text, None, error.problems)
    return Verdict(text, document, tuple(document.problems()))


@dataclass(eq=False, slots=True)
class Base:
    """What a draft began from; `text` is what its file or preset holds, `source` where that lies."""

    text: str = ""
    path: Path | None = None
    preset: str | None = None
    run: str | None = None
    source: Path | None = None
    stamp: recipefile.Stamp | None = None
    values: Values | None = field(default_factory=dict)  # None for a text that is no recipe
    keeper: Keeper = field(default_factory=Keeper)

    @property
    def title(self) -> str:
        """What the recipe is called on the screen; foreign text."""
        return kept.title(self.path, self.preset or self.run)

    def keep(self, text: str) -> None:
        """Have a text of this base kept on disk, as long as it is nowhere else."""
        draft = Recovered(self.keeper.path, text, self.path, self.preset, self.text, time.time(), run=self.run)
        self.keeper.offer(draft if text != self.text or self.own_name else None)

    @property
    def own_name(self) -> str | None:
        """The name that was given to a text that lies nowhere, such as the recipe of a run for a new one."""
        return self.run if self.path is None and self.source is None else None

    def read(self, text: str, source: Path | None) -> Base:
        """Take this text as what the file or preset holds."""
        self.text, self.source = text, source
        try:
            self.values = Document.parse(text, source).values()
        except RecipeError:
            self.values = None
        return self

    def changed(self, values: Values) -> frozenset[str]:
        """Return the keys whose value is another one here, those taken out included."""
        old = self.values or {}
        return frozenset(key for key in old.keys() | values.keys() if not _same(key, old, values))

    def save(self, text: str, path: Path | None, *, force: bool, make_folder: bool) -> Path:
        """Write a text to its file or to another, which is the base from then on; see `Draft.save`."""
        asked = path or self.path
        if asked is None:
            words = f"{self.title} has no file yet"
            raise recipefile.SaveRefused("nameless", words, "save it under a name")
        target = asked.expanduser().absolute()
        place = recipefile.check_place(target, own=self.path, known=self.text, force=force, make_folder=make_folder)
        recipefile.write(place, text)
        self.path, self.stamp = target, recipefile.stamp(target)
        self.read(text, target)
        kept.remember(target)
        return target

    def modified(self) -> bool:
        """Return whether something else changed or removed the file since it was opened or saved."""
        if self.path is None or (self.stamp is not None and recipefile.stamp(self.path) == self.stamp):
            return False
        return recipefile.current(self.path) != self.text

    def sayable(self, values: Values) -> bool:
        """Return whether `key=value` can say what differs: an unknown key cannot be taken out that way."""
        if self.values is None or self.source is None:
            return False
        return all(key in FIELDS or key in values for key in self.changed(values))

    def words(self, values: Values) -> list[str]:
        """Return this base, and `key=value` for all that differs from it."""
        changed = self.changed(values)
        keys = dict.fromkeys(key for key in (*values, *(self.values or {})) if key in changed)
        assert self.source is not None
        return [recipefile.typed(self.source), *(f"{key}={dump(values.get(key))}" for key in keys)]


def _same(key: str, old: Values, new: Values) -> bool:
    # By what it looks like: to Python, 1 and True are equal, and nan is not equal to itself.
    present = key in FIELDS or (key in old) == (key in new)  # a known key without a value is a key left out
    return present and repr(old.get(key)) == repr(new.get(key))
