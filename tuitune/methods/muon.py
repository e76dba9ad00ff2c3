"""Muon (Jordan et al. 2024; scaled as in Liu et al., arXiv 2502.16982): orthogonal updates for the layers' matrices.

Embeddings, head, norms and biases learn by AdamW. With the scale of 0.2 * sqrt(max(rows, columns)) an update is as
large as one of AdamW, so learning rate and weight decay are those that one would give AdamW.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tuitune.methods.adamw import Group, OwnOptimizer, adamw, by_decay, settings
from tuitune.models.layers import decoder_layers

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import TrainingArguments

    from tuitune.recipe import Recipe

_MOMENTUM = 0.95
_STEPS = 5
_A, _B, _C = 3.4445, -4.7750, 2.0315  # of the quintic iteration: the steepest slope at zero
_SMALLEST = 1e-7


class Muon(OwnOptimizer):
    """Muon for groups with a `momentum`, AdamW for those with `betas`.

    The momentum has the format of the weights, Adam's moments are fp32. precision: of the iteration; None is bf16 on a
    GPU and fp32 on a CPU, which is the faster one there.
    """

    def __init__(self, groups: list[Group], *, precision: torch.dtype | None = None, **defaults: Any) -> None:
        super().__init__(groups, defaults)
        self._precision = precision

    def update(self) -> None:
        """Update what has a gradient."""
        for p, grad, group in self.parameters_with_gradient():
            if "momentum" in group:
                self._step_matrix(p, grad, group)
            else:
                adamw(p, grad, self.state[p], group, copy=False)

    def _step_matrix(self, p: nn.Parameter, grad: Tensor, group: Group) -> None:
        state, momentum = self.state[p], group["momentum"]
        if not state:
            state["momentum_buffer"] = torch.zeros_like(grad)
        mean: Tensor = state["momentum_buffer"].lerp_(grad, 1 - momentum)
        update = orthogonal(grad.lerp(mean, momentum), self._precision)
        scale = 0.2 * math.sqrt(max(p.shape[-2:]))
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.add_(update, alpha=-group["lr"] * scale)


def orthogonal(matrix: Tensor, precision: torch.dtype | None = None) -> Tensor:
    """Return about U V' of `matrix` (rows, columns) = U S V', or of each in a stack, by five Newton-Schulz steps."""
    kind = precision or (torch.float32 if matrix.device.type == "cpu" else torch.bfloat16)
    tall = matrix.shape[-2] > matrix.shape[-1]
    product = torch.addmm if matrix.ndim == 2 else torch.baddbmm
    x = matrix.to(kind)
    x = x.mT if tall else x
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=_SMALLEST)
    for _ in range(_STEPS):
        gram = x @ x.mT
        x = product(x, product(gram, gram, gram, beta=_B, alpha=_C), x, beta=_A)
    return x.mT if tall else x


def optimizer(model: nn.Module, recipe: Recipe, args: TrainingArguments) -> torch.optim.Optimizer:
    """Return Muon for the trainable matrices inside the layers and AdamW for everything else."""
    matrices = {id(p) for p in _matrices(model)}
    muon: list[Group] = [
        {**group, "momentum": _MOMENTUM} for group in by_decay(model, args, lambda name, p: id(p) in matrices)
    ]
    own = settings(args)
    adam = [
        {**group, "betas": own["betas"], "eps": own["eps"]}
        for group in by_decay(model, args, lambda name, p: id(p) not in matrices)
    ]
    return Muon([*muon, *adam], lr=own["lr"])


def _matrices(model: nn.Module) -> list[nn.Parameter]:
    """Return the weights in the layers that multiply: matrices, and stacks of them (experts), but no convolutions."""
    _, layers = decoder_layers(model)
    found = []
    for module in layers.modules():
        kernel = isinstance(module, nn.Conv1d | nn.Conv2d | nn.Embedding)
        found += [p for p in module.parameters(recurse=False) if p.ndim in (2, 3) and min(p.shape) > 1 and not kernel]
    return found
