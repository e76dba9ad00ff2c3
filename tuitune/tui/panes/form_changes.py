"""The edits of the recipe form, each one step of the draft; a text comes back where nothing could be done."""

from __future__ import annotations

from tuitune.recipe import FIELDS, Field
from tuitune.tui.edited import Edited
from tuitune.tui.panes.form_steps import cycled, meant, stepped, toggled
from tuitune.tui.panes.form_words import LEFT, value_words, written


class FormChanges:
    """Changes single keys of a draft."""

    def __init__(self, draft: Edited) -> None:
        self._draft = draft

    def typed(self, key: str, text: str) -> None:
        """Give a key the value that was typed; nothing typed takes it out."""
        value = meant(key, text)
        if value is None:
            self._draft.remove(key)
        elif text != written(key, self._draft.values.get(key)):
            self._draft.set(key, value)

    def toggle(self, field: Field) -> str:
        """Turn a flag over."""
        return self._offer(field, toggled(field, self._draft.values.get(field.name)))

    def choose(self, field: Field, value: str | None) -> str:
        """Give a field one of its choices; None takes it out."""
        return self._offer(field, value)

    def cycle(self, field: Field, step: int) -> str:
        """Go to the next choice."""
        return self._offer(field, cycled(field, self._draft.values.get(field.name), step))

    def step(self, field: Field, value: object, direction: int) -> str:
        """Go to the next sensible number; `value` is the one in force."""
        new = stepped(field, value, direction)
        if new is None:
            unset = self._draft.values.get(field.name) is None and value is None
            return (
                "there is no number to start from: type one"
                if unset
                else f"{value_words(field.name, value)} is the last"
            )
        return self._offer(field, new)

    def reset(self, key: str) -> str:
        """Take a key out, back to its default."""
        if key not in self._draft.values:
            return f"{key} is at its default already"
        self._draft.remove(key)
        return ""

    def _offer(self, field: Field, value: object) -> str:
        planned = (field.planned or {}).get(value)
        if planned is not None:
            return f"{field.name}: {value_words(field.name, value)} is not possible yet; {planned}"
        # A round trip ends where it began: what the file leaves out does not stay in as its default.
        own = field.name in self._draft.base_values or field.name in LEFT.get(self._draft.purpose, {})
        if value == field.default and not own:
            self._draft.remove(field.name)
        else:
            self._draft.set(field.name, value)
        return ""


def in_force(field: Field, draft: Edited) -> object:
    """Return the value that a key has, given or by default."""
    value = draft.values.get(field.name)
    if value is None and field.name == "lora_alpha" and (recipe := draft.recipe()) is not None:
        return recipe.alpha
    return field.default if value is None else value


def editable(key: str) -> bool:
    """Return whether a value is typed, rather than toggled or chosen."""
    field = FIELDS.get(key)
    return field is None or field.kind not in ("flag", "choice")
