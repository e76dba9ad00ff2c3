"""The largest batch that goes through at once: what to set, and in words what that changes and what the limit is."""

from __future__ import annotations

from dataclasses import dataclass

from tuitune.fit.estimate import Estimate, estimate, largest_batch, most_tokens, tokens_of_row, why_no_batch
from tuitune.fit.precision import DeviceKind
from tuitune.fit.shapes import ModelShape
from tuitune.recipe import Recipe

__all__ = ["Filled", "filled"]

_KEY = "per_device_train_batch_size"


@dataclass(frozen=True, slots=True)
class Filled:
    """What to set per_device_train_batch_size to, None to leave it; in words why; `helps`: whether it could be told."""

    size: int | None
    words: str
    helps: bool = True


def filled(recipe: Recipe, shape: ModelShape | None, *, free: int, total: int | None, kind: DeviceKind) -> Filled:
    """Return the batch whose rows go through at once. One that is larger is left as it is, unless memory needs less."""
    size = largest_batch(recipe, shape, free=free, kind=kind)

    def at(batch: int) -> tuple[Recipe, Estimate]:
        asked = recipe.model_copy(update={_KEY: batch})
        return asked, estimate(asked, shape, free=free, total=total, kind=kind)

    batch = recipe.per_device_train_batch_size
    now = at(batch)[1]
    if size is None:
        return Filled(None, why_no_batch(now), helps=False)
    limit = _limit(recipe, shape, size, kind)
    if size == batch:
        return Filled(None, f"{_rows(size)} already the most at once: {limit}")
    asked, then = at(size)
    if size > batch:
        return Filled(size, f"{_KEY} is {size} now, {asked.rows_per_step} rows a step: {limit}")
    if now.fits == "yes" or (then.total or 0) >= (now.total or 0):
        return Filled(None, f"{batch} stays: the step is cut to {size} at once, with the same gradient; {limit}")
    return Filled(size, f"{_KEY} is {size} now: {batch} rows at once do not fit; {limit}")


def _limit(recipe: Recipe, shape: ModelShape | None, size: int, kind: DeviceKind) -> str:
    """Say why it is not one row more."""
    most = most_tokens(recipe, kind)
    if (size + 1) * tokens_of_row(recipe, shape, kind) <= most:
        return "one row more would get tight, by estimate"
    if recipe.tokens_per_batch:
        return f"tokens_per_batch lets {most:,} tokens through at once"
    return f"more than {most:,} tokens at once are no faster on a {'processor' if kind == 'cpu' else 'GPU'}"


def _rows(count: int) -> str:
    return "1 row is" if count == 1 else f"{count} rows are"
