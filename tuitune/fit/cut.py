"""How many tokens the engine will let through at once, told before torch is loaded (tests compare it with the engine).

The engine plans with the memory that is free once the model is loaded; what loading takes is subtracted here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tuitune.fit.precision import DeviceKind, Precision
from tuitune.fit.shapes import ModelShape, activation_bytes_per_token

if TYPE_CHECKING:
    from tuitune.fit.methods import Trained
    from tuitune.fit.states import Held
    from tuitune.recipe import Recipe

MOST_TOKENS: dict[DeviceKind, int] = {"cpu": 1536, "cuda": 32768}
SPARE = 0.85


@dataclass(frozen=True)
class Cut:
    """Most tokens of one micro-batch, and whether activations are computed again."""

    tokens: int
    recompute: bool


def choose_cut(
    recipe: Recipe,
    shape: ModelShape,
    formats: Precision,
    trained: Trained,
    *,
    kind: DeviceKind,
    room: float | None,
    longest: int,
) -> Cut:
    """Return the engine's choice; `room`: bytes it may fill with activations, None when nobody knows."""
    asked = recipe.recompute
    recompute = asked is True
    fitting = tokens_that_fit(shape, formats, trained, room, recompute=recompute)
    if asked is None and fitting is not None and fitting < longest:
        recompute = True
        fitting = tokens_that_fit(shape, formats, trained, room, recompute=True)
    most = MOST_TOKENS[kind]
    at_once = most if fitting is None else min(fitting, most)
    # A longer row stands alone whatever the cut says.
    return Cut(recipe.tokens_per_batch or max(at_once, min(longest, most)), recompute)


def tokens_that_fit(
    shape: ModelShape, formats: Precision, trained: Trained, room: float | None, *, recompute: bool
) -> int | None:
    """Return how many tokens' activations go into `room`; None when that is not known."""
    each = per_token(shape, formats, trained, recompute=recompute)
    if each is None or room is None:
        return None
    return max(0, int((room - _share(trained.fixed * formats.trained_bytes, shape, recompute)) / each))


def activations(
    shape: ModelShape, formats: Precision, trained: Trained, tokens: int, *, recompute: bool, dropout: bool = False
) -> int | None:
    """Return the bytes of the activations of so many tokens, None when they are not known."""
    each = per_token(shape, formats, trained, recompute=recompute, dropout=dropout)
    return None if each is None else tokens * each + _share(trained.fixed * formats.trained_bytes, shape, recompute)


def per_token(
    shape: ModelShape, formats: Precision, trained: Trained, *, recompute: bool, dropout: bool = False
) -> int | None:
    """Return the bytes that one token's activations take while training."""
    if trained.layers is not None and not recompute:
        # Below the first layer that learns nothing is kept; one layer at least stands for what lies above all of them.
        shape = replace(shape, layers=max(1, trained.layers))
    each = activation_bytes_per_token(
        shape,
        recompute=recompute,
        bytes_per_element=formats.compute_bytes,
        trainable=trained.trainable,
        rank=trained.rank,
        dropout=dropout,
        adapter_bytes=formats.trained_bytes,
    )
    return None if each is None else each + _share(trained.token * formats.trained_bytes, shape, recompute)


def _share(amount: int, shape: ModelShape, recompute: bool) -> int:
    """Return all of it, or one layer's share where activations are computed again."""
    return amount // (shape.layers or 1) if recompute else amount


def room_for_activations(free: int, loaded: int, coming: Held) -> float:
    """Return the bytes that the engine leaves for activations: its share of what is free, less gradients and states."""
    return max(0, free - loaded) * SPARE - coming.grads - coming.states
