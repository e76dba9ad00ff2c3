"""Every action there is on a screen, found in the bindings: for the palette, the help, and the user's own keys."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode
from textual.keys import REPLACED_KEYS, _character_to_key
from textual.screen import Screen
from textual.widget import Widget

from tuitune.text import clean_line


@dataclass(frozen=True, slots=True)
class Action:
    """One action: the id of its binding, its words, its keys as they are shown, and where it is done."""

    id: str
    title: str
    note: str
    keys: tuple[str, ...]
    node: DOMNode
    action: str
    reason: str  # why it cannot be done now; empty when it can

    @property
    def group(self) -> str:
        """What it belongs to: the first part of the id."""
        return self.id.partition(".")[0]

    @property
    def name(self) -> str:
        """How the palette calls it."""
        return f"{self.group}: {self.title}"


def gather(screen: Screen[object]) -> list[Action]:
    """Return every action of the focused widget, the screen's panes, the screen and the app, each id once."""
    found: dict[str, Action] = {}
    for node in _nodes(screen):
        for action in actions_of(node):
            found.setdefault(action.id, action)
    return list(found.values())


def actions_of(node: DOMNode) -> Iterator[Action]:
    """Yield the actions that a node itself binds."""
    keys: dict[str, list[str]] = {}
    bindings: dict[str, Binding] = {}
    for key, binding in node._bindings:
        if binding.id and binding.description:
            keys.setdefault(binding.id, []).append(key)
            bindings.setdefault(binding.id, binding)
    for id_, binding in bindings.items():
        shown = tuple(shown_key(node.app, key) for key in own_keys(node.app, id_, keys[id_]))
        reason = _why_not(node, binding)
        yield Action(id_, binding.description, binding.tooltip, shown, node, binding.action, reason)


def _nodes(screen: Screen[object]) -> Iterator[DOMNode]:
    focused = screen.focused
    yield from focused.ancestors_with_self if focused is not None else (screen, screen.app)
    # Of two panes of a kind, one for each layout, the one in view is meant.
    widgets = list(screen.walk_children(Widget))
    yield from sorted(widgets, key=lambda widget: not in_view(widget))


def in_view(widget: Widget) -> bool:
    """Return whether a widget takes part in the present layout."""
    nodes = widget.ancestors_with_self
    return all(node.display for node in nodes if isinstance(node, Widget)) and bool(widget.size.area)


def _why_not(node: DOMNode, binding: Binding) -> str:
    why = getattr(node.app, "why_not", None)
    reason = why(binding.id) if callable(why) else None
    if reason:
        return str(reason)
    return "" if node.app._check_action_state(binding.action, node) else "not possible now"


def own_keys(app: App[Any], id_: str, keys: Sequence[str]) -> list[str]:
    """Return the keys of a binding: the user's if there are any, else these."""
    own = app._keymap.get(id_)
    return [key.strip() for key in own.split(",")] if own else list(keys)


def shown_key(app: App[Any], key: str) -> str:
    """Return a key as the last line shows it: ^r, f1, ?."""
    shown = app.get_key_display(Binding(key, ""))
    return {"escape": "esc", "⏎": "enter", "⇥": "tab"}.get(shown, shown)


async def perform(action: Action) -> None:
    """Do an action where it belongs; why it cannot be done is said."""
    app = action.node.app
    if action.reason:
        app.notify(f"{action.title}: {action.reason}", severity="warning", markup=False)
        return
    await app.run_action(action.action, default_namespace=action.node)


def keymap_problems(keymap: Mapping[str, str], kinds: Iterable[type[DOMNode]]) -> list[str]:
    """Return, in words, what in the user's keymap has no effect or hides something, given what can have bindings."""
    bound = [list(_bound(kind, keymap)) for kind in kinds]
    # What has priority takes its key from everything else, wherever that is.
    first = {key: binding.id for each in bound for key, binding in each if binding.priority}
    problems: list[str] = []
    for each in bound:
        taken = dict(first)
        for key, binding in each:
            other = taken.setdefault(key, binding.id)
            if other != binding.id and (other in keymap or binding.id in keymap):
                problems.append(f"the key {key} is given to {other} and to {binding.id}")
    known = {binding.id for each in bound for _, binding in each}
    problems += [f"{clean_line(id_)} is no id of a key" for id_ in keymap if id_ not in known]
    return list(dict.fromkeys(problems))


def _bound(kind: type[DOMNode], keymap: Mapping[str, str]) -> Iterator[tuple[str, Binding]]:
    """Yield the keys of a kind of node as the user's keymap leaves them."""
    for key, binding in kind._merge_bindings():
        if binding.id:
            for own in keymap.get(binding.id, key).split(","):
                yield _normal(own), binding


def _normal(key: str) -> str:
    key = key.strip()
    key = _character_to_key(key) if len(key) == 1 else key
    return REPLACED_KEYS.get(key, key)
