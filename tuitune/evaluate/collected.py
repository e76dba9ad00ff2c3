"""What an evaluation has measured so far, and the figures that it comes to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tuitune.evaluate import figures, preferences
from tuitune.evaluate.figures import Figure
from tuitune.evaluate.scores import Series
from tuitune.run.evaluation import DATA, Item, Metric, Model

if TYPE_CHECKING:
    from tuitune.evaluate.measure import HeldOut
    from tuitune.evaluate.request import Request
    from tuitune.evaluate.sheet import Sheet


@dataclass
class Collected:
    """The rows of a data set, if any are measured, and what benchmarks have found: by task, then by model."""

    request: Request
    sheet: Sheet
    note: Callable[[str], None]
    data: HeldOut | None = None
    series: dict[str, dict[str, list[Series]]] = field(default_factory=dict)

    @property
    def anything(self) -> bool:
        """Whether there is anything that would be worth keeping."""
        return self.sheet.answered or any(self.series.values())

    def metrics(self, done: Sequence[str]) -> tuple[Metric, ...]:
        """Return the figures of the models that are done, by their keys, as far as they are final.

        Differences are left out until the model is done with which the others are compared.
        """
        seed = self.request.recipe.seed
        everyone = [named.model for named in self.request.models]
        models = [model for model in everyone if model.key in done]
        reference = figures.against(everyone) or ""
        final = reference in done
        apart = self._apart(models, reference) if final else set()
        return tuple(each.metric(models, seed, final=final, apart=apart) for each in self._figures(models))

    def _apart(self, models: Sequence[Model], reference: str) -> set[str]:
        """Return the models that read other tokens than the one they are compared with, and say which."""
        if self.data is None or self.request.recipe.stage == "rm":  # scores are of whole answers
            return set()
        apart = {model.key for model in models if not self.data.alike(model.key, reference)}
        for key in sorted(apart):
            self.note(f"{key} and {reference} read different tokens: their losses per token cannot be compared")
        return apart

    def _figures(self, models: Sequence[Model]) -> list[Figure]:
        found: list[Figure] = []
        if self.data is not None:
            found += self._data_figures(self.data, models)
        for task, by_model in self.series.items():
            found += figures.of_series(task, by_model)
        return found

    def _data_figures(self, data: HeldOut, models: Sequence[Model]) -> list[Figure]:
        items = self.sheet.items(DATA)
        if data.kind in ("pair", "label"):
            return self._preferences(data, items, models)
        found = [] if data.kind == "prompt" else figures.of_likelihood(items, models)
        return found + figures.of_answers(items, models, data.further)

    def _preferences(self, data: HeldOut, items: Sequence[Item], models: Sequence[Model]) -> list[Figure]:
        assert data.held is not None
        recipe, held = self.request.recipe, data.held
        labels = {name: bool(example.desirable) for name, example in zip(held.ids, held.examples, strict=True)}
        rows = {model.key: _rows(items, model.key) for model in models}
        base = next((model.key for model in models if model.role == "base"), None)
        by_model: dict[str, list[Series]] = {}
        for key, own in rows.items():
            if own and recipe.stage == "rm":
                by_model[key] = preferences.scored(own)
            elif own:
                before = rows[base] if base is not None and key != base and rows[base] else None
                by_model[key] = preferences.alone(own, recipe, labels)
                by_model[key] += preferences.measured(own, before, recipe, labels, self.note)
        return figures.of_series(DATA, by_model)


def _rows(items: Sequence[Item], model: str) -> dict[str, dict[str, float]]:
    found = {item.id: item.answers[model].scores for item in items if model in item.answers}
    return {name: row for name, row in found.items() if "logp_chosen" in row or "score_chosen" in row}
