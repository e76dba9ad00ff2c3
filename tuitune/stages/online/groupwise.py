"""How much better each answer was than its sisters, the other answers to the same prompt; pure functions.

Rewards (prompts, answers), NaN where nothing judged an answer: it counts for no mean and has the advantage 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch

if TYPE_CHECKING:
    from torch import Tensor

Scale = Literal["group", "batch", "none"]
_TINY = 1e-4  # added to a spread, as trl does


def relative(rewards: Tensor, scale: Scale) -> Tensor:
    """Return rewards minus their group's mean, divided by the spread of the group or of the batch, or by nothing.

    Shao et al., "DeepSeekMath" (arXiv 2402.03300), section 4.1.2; without the division Liu et al. (arXiv 2503.20783).
    """
    away = rewards - rewards.nanmean(1, keepdim=True)
    if scale == "none":
        return away.nan_to_num(0.0)
    spread = spreads(rewards)[:, None] if scale == "group" else spreads(rewards.reshape(1, -1))
    return (away / (spread + _TINY)).nan_to_num(0.0)


def leave_one_out(rewards: Tensor) -> Tensor:
    """Return rewards minus the mean of the sisters' (Ahmadian et al., arXiv 2402.14740, section 3.2)."""
    known = (~rewards.isnan()).sum(1, keepdim=True)
    others = (rewards.nansum(1, keepdim=True) - rewards) / (known - 1)
    return (rewards - others).nan_to_num(0.0, posinf=0.0, neginf=0.0)


def spreads(rewards: Tensor) -> Tensor:
    """Return the standard deviation of each row (rows,), 0 where fewer than two numbers are known."""
    known = (~rewards.isnan()).sum(1)
    squares = (rewards - rewards.nanmean(1, keepdim=True)).square().nansum(1)
    return torch.where(known > 1, squares / (known - 1).clamp(min=1), 0.0).sqrt()
