"""What an evaluation is asked for: whom, on what, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tuitune.run.evaluation import Model, Role

if TYPE_CHECKING:
    from tuitune.chat.weights import Weights
    from tuitune.recipe import Recipe
    from tuitune.run import RunDir


@dataclass(frozen=True)
class Named:
    """Weights that are measured, under a short name."""

    key: str
    role: Role
    weights: Weights

    @property
    def model(self) -> Model:
        """What results say of them."""
        weights = self.weights
        return Model(self.key, weights.title, self.role, weights.model, tuple(map(str, weights.adapters)))


@dataclass(frozen=True)
class Request:
    """One evaluation.

    subject: the word that was asked for. recipe: how rows become tokens, and all settings. run: whose rows they are,
    where it is one. models: the subject first. data: a data set by name or file instead of what the recipe holds back.
    rows: at most so many. held_out: whether data is measured at all; benchmarks alone need none. metrics: files of the
    user's own. answers: whether answers are generated. root: the folder to make the evaluation's folder in. asked: the
    same as plain values, to ask for it again. resume: the folder of an evaluation to go on with.
    """

    subject: str
    recipe: Recipe
    models: Sequence[Named]
    root: Path
    run: RunDir | None = None
    data: str | None = None
    rows: int | None = None
    held_out: bool = True
    metrics: Sequence[Path] = ()
    sample: bool = False
    answers: bool = True
    name: str = ""
    asked: Mapping[str, object] = field(default_factory=dict)
    resume: Path | None = None
