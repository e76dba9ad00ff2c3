"""Keys that are declared as a table, as the bindings of a pane or a screen."""

from __future__ import annotations

from collections.abc import Iterable

from textual.binding import Binding, BindingType

Key = tuple[str, str, str, str, str]
"""Keys, action, title, id and tooltip of a binding."""


def bound(keys: Iterable[Key], prefix: str = "") -> list[BindingType]:
    """Return the bindings of keys; `prefix` comes before their ids."""
    return [
        Binding(key, action, title, show=False, id=f"{prefix}{name}", tooltip=tooltip)
        for key, action, title, name, tooltip in keys
    ]
