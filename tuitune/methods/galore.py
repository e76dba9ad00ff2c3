"""GaLore (Zhao et al., arXiv 2403.03507): Adam on the gradient's projection to its own first singular vectors.

Full fine-tuning with optimizer states of rank r: two moments of shape (r, n) or (m, r) and one projector for each
matrix of shape (m, n). Norms, biases, embedding and head are trained by AdamW.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tuitune.methods.adamw import Group, settings, working_format
from tuitune.methods.layerwise import Layerwise
from tuitune.methods.matrices import groups, targets
from tuitune.methods.projection import Projection, of_gradient
from tuitune.methods.subspace import SubspaceOptimizer, direction, eight_bits, plain, shrink

if TYPE_CHECKING:
    from transformers import TrainingArguments

    from tuitune.recipe import Recipe


class GaLore(SubspaceOptimizer):
    """Algorithm 2 of the paper, for each of the package's kinds of projection; without layers it is AdamW.

    interval: steps between two decompositions. The projector is kept in the format of the weights.
    """

    def __init__(
        self, groups: list[Group], *, rank: int, interval: int, scale: float, kind: str, **defaults: Any
    ) -> None:
        super().__init__(groups, defaults)
        self._rank, self._interval, self._scale, self._kind = rank, interval, scale, kind

    def reduces(self, group: Group) -> bool:
        """Whether the group's gradients are projected."""
        return bool(group["projected"])

    def reduce(
        self, p: nn.Parameter, group: Group, grad: Tensor, projection: Projection | None = None
    ) -> tuple[Tensor, Projection | None]:
        """Return the projected gradient and the projection; a new one, from this gradient, in a step that renews it."""
        if not group["projected"]:
            return grad, None
        matrix = grad.to(working_format(grad.dtype))
        projection = projection or self._projection(p, matrix)
        return projection.down(matrix), projection

    def _projection(self, p: nn.Parameter, grad: Tensor) -> Projection:
        state = self.state.get(p, {})
        kept = Projection.remembered(state)
        if kept is None or state["step"] % self._interval == 0:
            return of_gradient(grad, self._rank, self._kind, p.dtype)
        return kept

    def apply(self, p: nn.Parameter, group: Group, value: Tensor, projection: Projection | None) -> None:
        """Move the weights along the direction in the subspace, brought back to the whole space and scaled."""
        state = self.state[p]
        if projection is None:
            plain(p, value, state, group)
            return
        projection.remember(state)
        low, factor = direction(value, state, group)
        p.add_(projection.up(low).mul_(self._scale), alpha=-group["lr"] * factor)
        shrink(p, group)


class LayerwiseGaLore(Layerwise, GaLore):
    """GaLore that updates each weight inside the backward pass."""


def optimizer(model: nn.Module, recipe: Recipe, args: TrainingArguments) -> torch.optim.Optimizer:
    """Return GaLore's optimizer for the recipe. Raises ModelError for a target that the model does not have."""
    chosen = targets(model, recipe.galore_target, "galore_target")
    made: dict[str, Any] = {
        "groups": groups(model, args, chosen, eight_bit=eight_bits(recipe.optim)), "rank": recipe.galore_rank,
        "interval": recipe.galore_update_interval, "scale": recipe.galore_scale, "kind": recipe.galore_proj_type,
        **settings(args),
    }  # fmt: skip
    if recipe.galore_layerwise:
        return LayerwiseGaLore(clip=recipe.layerwise_clip, **made)
    return GaLore(**made)
