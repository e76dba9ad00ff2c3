"""Which engine answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuitune.chat.weights import Weights
from tuitune.serve.limits import Limits
from tuitune.serve.order import Engine

if TYPE_CHECKING:
    from tuitune.chat.loading import Note, Progress
    from tuitune.recipe import Recipe


def engine_of(
    models: Sequence[tuple[str, Weights]], recipe: Recipe, limits: Limits, *, progress: Progress, note: Note
) -> Engine:
    """Return the engine that a recipe asks for, with these models. Raises ModelError, DataError or UsageError."""
    from tuitune.serve.engine import LocalEngine

    return LocalEngine.load(models, limits, progress=progress, note=note)
