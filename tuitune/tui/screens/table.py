"""The screens beside the Workbench: where each is found; what it needs is imported when it is opened."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from textual.screen import Screen


@dataclass(frozen=True, slots=True)
class Place:
    """A screen: its name in ids and actions, its title, its class, the letter of the jump mode."""

    name: str
    title: str
    where: str
    letter: str
    note: str = ""


PLACES = (
    Place("data", "Data", "tuitune.tui.screens.data:DataScreen", "d", "which tokens are trained on"),
    Place("runs", "Runs", "tuitune.tui.screens.runs:RunsScreen", "r", "every run: compare, note, resume, delete"),
    Place("evaluate", "Evaluate", "tuitune.tui.screens.evaluate:EvaluateScreen", "v", "is the tuned model better?"),
    Place("compare", "Compare", "tuitune.tui.screens.compare:CompareScreen", "c", "two models answer side by side"),
    Place("export", "Export", "tuitune.tui.screens.export:ExportScreen", "e", "merge, quantise, GGUF, push"),
    Place("serve", "Serve", "tuitune.tui.screens.serve:ServeScreen", "s", "an OpenAI-style server"),
)
NAMED = {place.name: place for place in PLACES}
WITH_KEYS = (
    "tuitune.tui.app",
    "tuitune.tui.files",
    "tuitune.tui.help",
    "tuitune.tui.screens.yaml",
    *(place.where.partition(":")[0] for place in PLACES),
)
"""The modules that bring every screen, and with it every key that there is."""


def made(name: str, subject: str | None = None, *beside: str) -> Screen[None]:
    """Return a new screen; subject: what it is about, as a command would name it (a run, a folder, a model).

    beside: what Compare shows on the right.
    """
    module, _, kind = NAMED[name].where.partition(":")
    return cast("Screen[None]", getattr(import_module(module), kind)(subject, *beside))


def kind_of(screen: Screen[object]) -> str | None:
    """Return the name of a screen, None for others."""
    own = f"{type(screen).__module__}:{type(screen).__qualname__}"
    return next((place.name for place in PLACES if place.where == own), None)
