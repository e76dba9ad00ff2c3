"""APOLLO (Zhu et al., arXiv 2412.05270): raw gradients, scaled by what Adam would do in a subspace of low rank.

The states of a matrix (m, n) are two moments of rank r, a norm, and the seed of a random projection, which is drawn
again when it is needed. Norms, biases, embedding and head are trained by AdamW.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tuitune.methods.adamw import Group, settings, working_format
from tuitune.methods.layerwise import Layerwise
from tuitune.methods.matrices import groups, targets
from tuitune.methods.projection import Projection, at_random, of_gradient, seed_of, sides
from tuitune.methods.subspace import SubspaceOptimizer, direction, plain, shrink

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from tuitune.recipe import Recipe

_TINY = 1e-8
_GROWTH = 1.01  # the norm-growth limiter's gamma, as in the authors' package (after Fira, arXiv 2410.01623)


class Apollo(SubspaceOptimizer):
    """Algorithm 1 of the paper as the authors' package has it: `scale` acts through its square root.

    interval: steps between two renewals of the projection. random: drawn from a seed, else the gradient's singular
    vectors. channel: one factor for each row or column, along the side that is not projected; else one for the matrix.
    front: scale before the growth is limited, which lets the limit act on what is added to the weights.
    """

    def __init__(
        self, groups: list[Group], *, rank: int, interval: int, scale: float, kind: str, random: bool, channel: bool,
        front: bool, seed: int, **defaults: Any,
    ) -> None:  # fmt: skip
        super().__init__(groups, defaults)
        self._rank, self._interval, self._scale, self._kind = rank, interval, math.sqrt(scale), kind
        self._random, self._channel, self._front, self._seed = random, channel, front, seed
        self._number = {p: i for i, p in enumerate(p for group in self.param_groups for p in group["params"])}

    def apply(self, p: nn.Parameter, group: Group, value: Tensor, projection: Projection | None) -> None:
        """Move the weights along their own gradient, each channel as far as Adam would."""
        state = self.state[p]
        if not group["projected"]:
            plain(p, value, state, group)
            return
        grad = value.to(working_format(value.dtype))
        low = self._projection(p, grad, state).down(grad)
        adapted, factor = direction(low, state, group)
        scaled = grad * self._factors(adapted, low, grad.shape)
        if self._front:
            scaled.mul_(self._scale)
        scaled = _limited(scaled, state)
        if not self._front:
            scaled.mul_(self._scale)
        p.add_(scaled, alpha=-group["lr"] * factor)
        shrink(p, group)

    def _projection(self, p: nn.Parameter, grad: Tensor, state: dict[str, Any]) -> Projection:
        renewals, since = divmod(state.get("step", 0), self._interval)
        if self._random:
            if since == 0 or "seed" not in state:
                state["seed"] = seed_of(self._seed, self._number[p], renewals)
            return at_random(grad.shape, self._rank, self._kind, state["seed"], grad.device)
        kept = Projection.remembered(state)
        if kept is None or since == 0:
            kept = of_gradient(grad, self._rank, self._kind, p.dtype)
            kept.remember(state)
        return kept

    def _factors(self, adapted: Tensor, low: Tensor, shape: torch.Size) -> Tensor:
        """Return how much longer Adam's direction is than the gradient; (..., m, 1), (..., 1, n) or (..., 1, 1)."""
        _, right = sides(self._kind, shape)
        across = (-1 if right else -2) if self._channel else (-2, -1)
        longer: Tensor = torch.linalg.vector_norm(adapted, dim=across, keepdim=True)
        former: Tensor = torch.linalg.vector_norm(low, dim=across, keepdim=True)
        return longer / (former + _TINY)


def _limited(scaled: Tensor, state: dict[str, Any]) -> Tensor:
    """Return the update, no longer than gamma times the one before; the state keeps its length, (..., 1, 1)."""
    norm = torch.linalg.vector_norm(scaled, dim=(-2, -1), keepdim=True)
    former = state.get("norm")
    if former is not None:
        limiter = (norm / (former + _TINY)).clamp_min(_GROWTH) / _GROWTH
        # An expert that no token has reached had no update: that is no length to grow from.
        limiter = torch.where(former > 0, limiter, 1.0)
        scaled, norm = scaled / limiter, norm / limiter
    state["norm"] = norm
    return scaled


class LayerwiseApollo(Layerwise, Apollo):
    """APOLLO that updates each weight inside the backward pass; it needs whole gradients of every part of a step."""


def optimizer(model: nn.Module, recipe: Recipe, args: TrainingArguments) -> torch.optim.Optimizer:
    """Return APOLLO's optimizer for the recipe. Raises ModelError for a target that the model does not have."""
    chosen = targets(model, recipe.apollo_target, "apollo_target")
    kind = LayerwiseApollo if recipe.apollo_layerwise else Apollo
    return kind(
        groups(model, args, chosen, eight_bit=False), rank=recipe.apollo_rank, interval=recipe.apollo_update_interval,
        scale=recipe.apollo_scale, kind=recipe.apollo_proj_type, random=recipe.apollo_proj == "random",
        channel=recipe.apollo_scale_type == "channel", front=recipe.apollo_scale_front, seed=recipe.seed,
        **settings(args),
    )  # fmt: skip
