"""The settings of a command as a form: the recipe's own, over the few keys that matter to it."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.events import Resize

from tuitune.text import clean
from tuitune.tui.kit.rows import R, Row
from tuitune.tui.optiondraft import OptionDraft
from tuitune.tui.panes.form_actions import FormActions
from tuitune.tui.panes.recipe import RecipePane

_SOME = 17  # rows from which on the help has three
_ELSEWHERE = ("recipe.all",)  # keys of the recipe that mean nothing here


def _bindings() -> list[BindingType]:
    """Return the keys of the recipe form under ids of their own."""
    own = [each for each in FormActions.BINDINGS if isinstance(each, Binding) and each.id not in _ELSEWHERE]
    return [replace(each, id=f"options.{str(each.id).partition('.')[2]}") for each in own]


class OptionsPane(RecipePane, inherit_bindings=False):
    """The form of an `OptionDraft`. Screens may add keys of their own; letters that they take begin no value."""

    HELP: ClassVar[str] = """
# Settings

What the command is given beside its subject; kept for the next time. What is not set here is as the run's recipe has
it, or at its default. • marks what you have set, ▲ what has a problem.

While you edit: enter, up and down keep the value, esc leaves it as it was. An empty value is the default.
"""
    BINDINGS: ClassVar[list[BindingType]] = _bindings()
    DEFAULT_CSS = """
    OptionsPane .split { height: 1fr; layout: vertical; }
    OptionsPane FieldHelp { height: 2; }
    OptionsPane.-some FieldHelp { height: 4; padding-top: 1; }
    OptionsPane.-roomy FieldHelp { height: 6; padding-top: 1; }
    OptionsPane.-tight FieldHelp { height: 1; }
    OptionsPane.-beside .split { layout: horizontal; }
    OptionsPane.-beside FieldHelp { height: 1fr; width: 34%; max-width: 60; padding: 0 0 0 2; }
    """

    def __init__(
        self, options: OptionDraft, *, label: str = "Settings", digit: str = "", classes: str | None = None,
        id: str | None = None,  # noqa: A002
    ) -> None:  # fmt: skip
        super().__init__(options, id=id, classes=classes)
        self.options = options
        self.label, self.digit = label, digit  # type: ignore[misc]  # of this one
        self._told = ""

    @property
    def meta(self) -> Row:
        """How much is wrong, or how much was set."""
        wrong, count = len(self.options.wrong), len(self.options.changed)
        if wrong:
            return R("error b", f"{wrong} problem{'s' * (wrong > 1)}")
        return R("accent", "•", "quiet", f" {count} set") if count else []

    def on_resize(self, event: Resize) -> None:
        """Choose the room of the help, too."""
        super().on_resize(event)
        self.set_class(event.size.height >= _SOME, "-some")

    def _changed(self) -> None:
        super()._changed()
        trouble, self._told = self._told != self.options.trouble, self.options.trouble
        if trouble and self._told:
            self.notify(clean(self._told), severity="warning", markup=False)
