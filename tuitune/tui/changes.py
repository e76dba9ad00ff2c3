"""What a change of the recipe means: the memory that it takes, and whether what it names is there."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tuitune.face.asking import missing
from tuitune.fit import misfits
from tuitune.recipe import Problem, Recipe
from tuitune.tui.panes.fitbar import FitBar
from tuitune.tui.panes.models import ModelPane

if TYPE_CHECKING:
    from tuitune.tui.app import TuiTune

_PLACES = ("model_name_or_path", "model_revision", "cache_dir", "dataset", "eval_dataset", "dataset_dir", "template",
           "adapter_name_or_path", "reward_file", "reward_weights", "report_to", "use_swanlab",
           *misfits.KEYS)  # fmt: skip


class RecipeChanges:
    """What follows from an edit of the recipe; a part of the app."""

    _named: tuple[str, ...] = ()

    @property
    def _app(self) -> TuiTune:
        return self  # type: ignore[return-value]

    def recipe_changed(self) -> None:
        """Show what a change of the recipe means for the memory, and look for what it names."""
        app, recipe = self._app, self._app.draft.recipe()
        self._look_for_places(recipe)
        for models in app.everywhere(ModelPane):
            models.show(str(app.draft.values.get("model_name_or_path", "")))
        if app.fitting.known(recipe):
            self.refit()
        else:
            app.in_thread("fit", lambda: app.fitting.look(recipe), lambda _: self.refit())

    def _look_for_places(self, recipe: Recipe | None) -> None:
        """Have a thread look whether what the recipe names is there, once for each change of a name."""
        document = self._app.draft.document
        if recipe is None or document is None:
            return
        names = tuple(str(getattr(recipe, key)) for key in _PLACES)
        if names != self._named:
            self._named, copy = names, document.copy()
            self._app.in_thread("places", lambda: missing(copy), self._tell_places)

    def _tell_places(self, problems: list[Problem]) -> None:
        self._app.draft.note([replace(problem, level="warning", line=None) for problem in problems])

    def refit(self) -> None:
        """Show the estimate of the recipe as it is now."""
        estimate, where, why = self._app.fitting.estimate(self._app.draft.recipe())
        for bar in self._app.everywhere(FitBar):
            bar.show(estimate, where, why)
