"""How the user left the Runs screen, kept as long as the app is open."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from textual.app import App

from tuitune.face.runs import Wanted
from tuitune.run.shelf import Entry
from tuitune.run.trash import Trashed
from tuitune.tui.panes.runs_curve import Curve
from tuitune.tui.panes.runs_look import Look
from tuitune.tui.screens.runs_data import Desk


@dataclass
class Seen:
    """What was read, marked, searched, sorted and drawn, and where the cursor stood."""

    desk: Desk = field(default_factory=Desk)
    entries: Sequence[Entry] = ()
    curves: dict[str, Curve] = field(default_factory=dict)
    figure: str | None = None
    undoable: list[list[Trashed]] = field(default_factory=list)
    marks: list[str] = field(default_factory=list)
    wanted: Wanted = field(default_factory=Wanted)
    search: str = ""
    order: str = "newest"
    turned: bool = False
    look: Look = field(default_factory=Look)
    path: str | None = None


_seen: WeakKeyDictionary[App[Any], Seen] = WeakKeyDictionary()


def seen_of(app: App[Any]) -> Seen:
    """Return how the screen was left in this app."""
    return _seen.setdefault(app, Seen())
