"""Losses of single tokens that a policy or its values cannot leave far behind in one go; pure functions.

Schulman et al., "Proximal Policy Optimization Algorithms" (arXiv 1707.06347), equation 7; values are clipped as in
the implementation of Ziegler et al., "Fine-Tuning Language Models from Human Preferences" (arXiv 1909.08593).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor


def surrogate(new: Tensor, old: Tensor, advantages: Tensor, low: float, high: float) -> tuple[Tensor, Tensor]:
    """Return the loss of each token (N,), and where the clipped ratio decided it.

    new, old: log probabilities now (with gradient) and when the answer was sampled. The ratio counts between 1 - low
    and 1 + high.
    """
    ratio = (new - old).exp()
    free, clipped = -advantages * ratio, -advantages * ratio.clamp(1 - low, 1 + high)
    return torch.maximum(free, clipped), clipped.detach() > free.detach()


def value_loss(new: Tensor, old: Tensor, returns: Tensor, clip: float) -> Tensor:
    """Return half the squared error of each value (N,); one that has moved by more than `clip` gets no credit."""
    held = old + (new - old).clamp(-clip, clip)
    return 0.5 * torch.maximum((new - returns) ** 2, (held - returns) ** 2)
