"""What a form edits: a recipe in the making, or the settings of a command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from tuitune.recipe import Document, Problem, Recipe
from tuitune.recipe.option import Purpose

Sections = tuple[tuple[str, tuple[str, ...]], ...]
"""Titles, each with the keys below it."""


class Edited(Protocol):
    """Keys with values; every edit is a step that `undo` takes back, and `cursor` names the key it was about.

    sections: the only keys that a form shows; None for all that apply. `origin` says in a word what `base_values`
    are of, such as a preset. `document` is None while a text is no recipe.
    """

    cursor: str | None
    problems: list[Problem]
    values: dict[str, object]
    document: Document | None
    purpose: Purpose
    sections: Sections | None

    @property
    def base_values(self) -> dict[str, object]:
        """The values that it began with."""

    @property
    def origin(self) -> str:
        """What those are of, in a word."""

    @property
    def changed(self) -> frozenset[str]:
        """The keys whose value is another one now."""

    def recipe(self) -> Recipe | None:
        """Return the values as a recipe; None while one is wrong."""

    def set(self, key: str, value: object) -> None:
        """Give a key a value."""

    def remove(self, key: str) -> None:
        """Take a key out."""

    def undo(self) -> bool:
        """Take the last step back; return whether there was one."""

    def redo(self) -> bool:
        """Make the step that was taken back again; return whether there was one."""

    def subscribe(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Have `callback` called after every change; return what ends that."""
