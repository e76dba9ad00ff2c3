"""Layerwise updates: each weight moves as soon as its gradient is there, so that two full gradients never are.

A step may be several backward passes. The weights move in the last one; the gradients of the others are added up, of
what `reduce` leaves of them where it leaves less: one matrix of rank r for each target of GaLore. All other gradients
are added up whole, by autograd. In a step that renews GaLore's projection, the gradient of the first part decides on it
(without parts that is the whole gradient, and the rule is the plain one in every bit).
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tuitune.errors import TrainingError
from tuitune.methods.adamw import working_format
from tuitune.methods.subspace import SubspaceOptimizer

if TYPE_CHECKING:
    from tuitune.methods.adamw import Group
    from tuitune.methods.projection import Projection


@dataclass
class Held:
    """What is kept of a weight's gradients so far in a step: their reduced sum, and the square of what that lacks."""

    value: Tensor
    projection: Projection | None
    outside: Tensor

    def square(self) -> Tensor:
        """Return the squared length of the gradient, (); exact for a single part.

        With more the sum of what lies outside the subspace is unknown; the parts are taken as independent there.
        """
        return _square(self.value) + self.outside


class Layerwise(SubspaceOptimizer):
    """Mixed in before a `SubspaceOptimizer`; see `base.StepAware`.

    clip: gradients of one weight that are longer are shortened to this; 0 leaves them.
    """

    def __init__(self, groups: list[Group], *, clip: float = 0.0, **defaults: Any) -> None:
        super().__init__(groups, **defaults)
        self._clip = clip
        self._last, self._moved, self._told = True, False, False
        self._squares: list[Tensor] = []
        # Public: what a step holds of gradients besides `p.grad`.
        self.held: dict[nn.Parameter, Held] = {}
        self._place: dict[nn.Parameter, int] = {}
        # A weight must not keep its optimizer alive: that would be a circle through autograd, which nobody collects.
        arrived = weakref.WeakMethod(self._arrived)
        for number, group in enumerate(self.param_groups):
            for p in group["params"]:
                self._place[p] = number
                p.register_post_accumulate_grad_hook(lambda p: found(p) if (found := arrived()) else None)

    def begin_part(self, *, last: bool) -> None:
        """Announce the backward pass of one micro-batch; the weights move in the last one of a step."""
        if self._last:  # the former one was
            self._squares.clear()
        self._last = last
        if not last and not self._told and not all(map(self.reduces, self._matrix_groups())):
            self._told = True
            self.say(
                "a step of several micro-batches adds up whole gradients, so layerwise updates save no memory: "
                "lower gradient_accumulation_steps, or raise tokens_per_batch"
            )

    def discard(self) -> None:
        """Forget the unfinished step. Raises TrainingError if some weights have made it already."""
        if self._moved:
            raise TrainingError(
                "memory ran out in the middle of a layerwise update, when some weights had moved and others had not",
                "lower tokens_per_batch (a step is cut into more parts, with the same gradient) and resume the run",
            )
        self._last = True
        self._squares.clear()
        self.held.clear()

    def grad_norm(self) -> Tensor | None:
        """Return the norm of all gradients of the step that has just ended, before they were clipped."""
        self._finish_rest()
        return torch.stack(self._squares).sum().sqrt() if self._squares else None

    def update(self) -> None:
        """End the step: its updates are made."""
        self._finish_rest()
        self._moved = False

    @torch.no_grad()
    def _arrived(self, p: nn.Parameter) -> None:
        group = self.param_groups[self._place[p]]
        if self._last:
            self._finish(p, group)
        elif self.reduces(group):
            self._take(p, group)

    def _take(self, p: nn.Parameter, group: Group) -> Held:
        """Put the gradient of `p` to what is held of the earlier ones, and let it go."""
        grad, p.grad = p.grad, None
        assert grad is not None
        former = self.held.get(p)
        value, projection = self.reduce(p, group, grad, former.projection if former else None)
        outside = (_square(grad) - _square(value)).clamp_min(0.0) if self.reduces(group) else grad.new_zeros(())
        if former is not None:
            value, outside = former.value.add_(value), former.outside + outside
        self.held[p] = Held(value, projection, outside)
        return self.held[p]

    @torch.no_grad()
    def _finish(self, p: nn.Parameter, group: Group) -> None:
        held = self.held[p] if p.grad is None else self._take(p, group)
        del self.held[p]
        square = held.square()
        self._squares.append(square)
        if self._clip:
            held.value.mul_((self._clip / (square.sqrt() + 1e-6)).clamp_max(1.0).to(held.value.dtype))
        self._moved = True
        self.apply(p, group, held.value, held.projection)

    @torch.no_grad()
    def _finish_rest(self) -> None:
        """Update what had a gradient in an earlier part and none in the last one (an expert that nothing reached)."""
        for group in self.param_groups:
            for p in group["params"]:
                if p in self.held or p.grad is not None:
                    self._finish(p, group)

    def _matrix_groups(self) -> list[Group]:
        return [group for group in self.param_groups if group["projected"]]


def _square(tensor: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(tensor, dtype=working_format(tensor.dtype))
    return norm.square()
