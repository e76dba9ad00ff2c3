"""What GaLore and APOLLO share: one tensor's update at a time, Adam's moments in a subspace, states of 8 bits."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from tuitune.errors import TrainingError
from tuitune.fit.optimizers import BLOCK_8BIT, SMALLEST_8BIT
from tuitune.methods.adamw import Group, OwnOptimizer, adamw
from tuitune.recipe.fields.matrix import EIGHT_BIT_ADAMW

if TYPE_CHECKING:
    from collections.abc import Callable

    from tuitune.methods.projection import Projection


class SubspaceOptimizer(OwnOptimizer):
    """An optimizer whose update of one tensor asks nothing of the others; moments are fp32 whatever the weights are.

    Groups have `projected`, for matrices that the method treats in its way, and `eight_bit`; all else is AdamW.
    """

    say: Callable[[str], None] = staticmethod(lambda text: None)

    def reduces(self, group: Group) -> bool:
        """Whether `reduce` leaves less than the gradient, so that its sums need not be whole ones."""
        return False

    def reduce(
        self, p: nn.Parameter, group: Group, grad: Tensor, projection: Projection | None = None
    ) -> tuple[Tensor, Projection | None]:
        """Return what the update needs of a gradient, which is linear in it, and the projection that was used.

        projection: of an earlier part of the same step. Changes no state.
        """
        return grad, None

    def apply(self, p: nn.Parameter, group: Group, value: Tensor, projection: Projection | None) -> None:
        """Update `p` and its state with what `reduce` left of its gradient."""
        raise NotImplementedError

    def update(self) -> None:
        """Update what has a gradient."""
        for p, grad, group in self.parameters_with_gradient():
            self.apply(p, group, *self.reduce(p, group, grad))


def plain(p: nn.Parameter, grad: Tensor, state: dict[str, Any], group: Group) -> None:
    """Make one step of AdamW on a tensor that is not projected."""
    if not _in_eight_bits(grad, group):
        adamw(p, grad, state, group, copy=False)
        return
    update, factor = direction(grad.float(), state, group)
    p.mul_(1 - group["lr"] * group["weight_decay"])
    p.add_(update, alpha=-group["lr"] * factor)


def direction(low: Tensor, state: dict[str, Any], group: Group) -> tuple[Tensor, float]:
    """Take a gradient into Adam's moments; return a direction and the factor that makes it Adam's bias-corrected step.

    Operations and their order are those of the authors' packages, galore-torch and apollo-torch, where epsilon is added
    before the correction; with 8 bits those of bitsandbytes' kernel, where it is added after it.
    """
    eight_bit = _in_eight_bits(low, group)
    if "exp_avg" not in state:
        state["step"] = 0
        kind = torch.uint8 if eight_bit else low.dtype
        for name in ("exp_avg", "exp_avg_sq"):
            state[name] = torch.zeros_like(low, dtype=kind)
            if eight_bit:
                state[f"{name}_scale"] = torch.zeros(math.ceil(low.numel() / BLOCK_8BIT), device=low.device)
    state["step"] += 1
    if eight_bit:
        return _kernel(low, state, group), 1.0
    beta1, beta2 = group["betas"]
    mean, square = state["exp_avg"], state["exp_avg_sq"]
    mean.mul_(beta1).add_(low, alpha=1.0 - beta1)
    square.mul_(beta2).addcmul_(low, low, value=1.0 - beta2)
    denominator = square.sqrt().add_(group["eps"])
    factor = math.sqrt(1.0 - beta2 ** state["step"]) / (1.0 - beta1 ** state["step"])
    return torch.div(mean, denominator, out=denominator), factor


def shrink(p: nn.Parameter, group: Group) -> None:
    """Decay the weights after their update, as the authors' packages do."""
    if group["weight_decay"] > 0.0:
        p.add_(p, alpha=-group["lr"] * group["weight_decay"])


def _in_eight_bits(tensor: Tensor, group: Group) -> bool:
    return bool(group["eight_bit"]) and tensor.numel() >= SMALLEST_8BIT


def _kernel(low: Tensor, state: dict[str, Any], group: Group) -> Tensor:
    """Return Adam's direction from moments of 8 bits: what the kernel subtracts from zeros at a learning rate of 1."""
    from bitsandbytes.functional import optimizer_update_8bit_blockwise

    signed, unsigned = _codes(low.device)
    update = torch.zeros_like(low)
    optimizer_update_8bit_blockwise(
        "adam", low.contiguous(), update, state["exp_avg"], state["exp_avg_sq"], *group["betas"], 0.0, 0.0,
        group["eps"], state["step"], 1.0, signed, unsigned, state["exp_avg_scale"], state["exp_avg_sq_scale"],
    )  # fmt: skip
    return update.neg_()


@functools.cache
def _codes(device: torch.device) -> tuple[Tensor, Tensor]:
    from bitsandbytes.functional import create_dynamic_map

    return create_dynamic_map(signed=True).to(device), create_dynamic_map(signed=False).to(device)


def eight_bits(optim: str) -> bool:
    """Whether the recipe's `optim` asks for states of 8 bits; raises TrainingError where bitsandbytes is missing."""
    if optim not in EIGHT_BIT_ADAMW:
        return False
    try:
        import bitsandbytes  # noqa: F401
    except ImportError as error:
        raise TrainingError(
            f"optim: {optim} needs bitsandbytes", "pip install bitsandbytes, or remove optim"
        ) from error
    return True
