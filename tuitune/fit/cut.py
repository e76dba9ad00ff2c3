"""How many tokens the engine will let through at once, told before torch is loaded (tests compare it with the engine).

The engine plans with the memory that is free once the model is loaded; what loading takes is subtracted here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuitune.fit.precision import DeviceKind, Precision
from tuitune.fit.shapes import ModelShape, activation_bytes_per_token

if TYPE_CHECKING:
    from tuitune.recipe import Recipe

MOST_TOKENS: dict[DeviceKind, int] = {"cpu": 1536, "cuda": 32768}
SPARE = 0.85


@dataclass(frozen=True)
class Cut:
    """Most tokens of one micro-batch, and whether activations are computed again."""

    tokens: int
    recompute: bool


def choose_cut(
    recipe: Recipe, shape: ModelShape, formats: Precision, *, kind: DeviceKind, room: float | None, longest: int
) -> Cut:
    """Return the engine's choice; `room`: bytes it may fill with activations, None when nobody knows."""
    asked = recipe.recompute
    recompute = asked is True
    fitting = tokens_that_fit(recipe, shape, formats, room, recompute=recompute)
    if asked is None and fitting is not None and fitting < longest:
        recompute = True
        fitting = tokens_that_fit(recipe, shape, formats, room, recompute=True)
    most = MOST_TOKENS[kind]
    at_once = most if fitting is None else min(fitting, most)
    # A longer row stands alone whatever the cut says.
    return Cut(recipe.tokens_per_batch or max(at_once, min(longest, most)), recompute)


def tokens_that_fit(
    recipe: Recipe, shape: ModelShape, formats: Precision, room: float | None, *, recompute: bool
) -> int | None:
    """Return how many tokens' activations go into `room`; None when that is not known."""
    each = per_token(recipe, shape, formats, recompute=recompute)
    return None if each is None or room is None else max(0, int(room / each))


def per_token(
    recipe: Recipe, shape: ModelShape, formats: Precision, *, recompute: bool, dropout: bool = False
) -> int | None:
    """Return the bytes that one token's activations take while training."""
    return activation_bytes_per_token(
        shape,
        recompute=recompute,
        bytes_per_element=formats.compute_bytes,
        trainable="full" if recipe.whole else "lora",
        rank=recipe.lora_rank,
        dropout=dropout,
    )


def room_for_activations(free: int, loaded: int, elements: int, formats: Precision) -> float:
    """Return the bytes that the engine leaves for activations: its share of what is free, less gradients and Adam."""
    size = formats.trained_bytes
    return max(0, free - loaded) * SPARE - elements * (size + 2 * max(4, size))
