"""How much better each token was than expected, and what keeps the scale of that steady; pure functions on tensors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

_TINY = 1e-8
_MOST_ERROR = 0.2  # by which the KL controller lets itself be moved at most


def gae(rewards: Tensor, values: Tensor, gamma: float, lam: float) -> Tensor:
    """Return the advantage of each token of one answer (T,).

    Generalised advantage estimation (Schulman et al., arXiv 1506.02438, equation 16); behind the answer there is
    nothing to be had, whether it ended or was cut off.
    """
    following = torch.cat([values[1:], values.new_zeros(1)])
    surprise = rewards + gamma * following - values
    out, carried = torch.empty_like(surprise), 0.0
    for t in range(len(surprise) - 1, -1, -1):
        carried = float(surprise[t]) + gamma * lam * carried
        out[t] = carried
    return out


def whitened(parts: Sequence[Tensor], *, keep_mean: bool = False) -> list[Tensor]:
    """Return the numbers of all parts together with spread 1, and mean 0 unless it is kept."""
    every = torch.cat(list(parts))
    if len(every) < 2:
        return [part.clone() if keep_mean else torch.zeros_like(part) for part in parts]
    mean, scale = every.mean(), torch.rsqrt(every.var() + _TINY)
    return [(part - mean) * scale + (mean if keep_mean else 0.0) for part in parts]


@dataclass(frozen=True)
class Controller:
    """Steers the weight of the KL penalty to a KL per answer (Ziegler et al., arXiv 1909.08593, section 2.2).

    horizon: answers over which it adapts; 0 keeps the weight.
    """

    weight: float
    target: float
    horizon: float

    def after(self, kl: float, answers: int) -> Controller:
        """Return it after answers of this mean KL."""
        if not self.horizon or not math.isfinite(kl):
            return self
        error = min(max(kl / self.target - 1.0, -_MOST_ERROR), _MOST_ERROR)
        # A buffer of more than five horizons would turn the weight around.
        return Controller(self.weight * max(0.0, 1.0 + error * answers / self.horizon), self.target, self.horizon)


@dataclass(frozen=True)
class Running:
    """Mean and spread of all numbers seen so far; squares: the sum of the squared distances to the mean."""

    count: float = 0.0
    mean: float = 0.0
    squares: float = 0.0

    def after(self, numbers: Tensor) -> Running:
        """Return it with these numbers (N,) too (Chan, Golub, LeVeque: Updating Formulae, 1979)."""
        new = numbers.double()
        count, mean = len(new), float(new.mean())
        total, shift = self.count + count, mean - self.mean
        squares = self.squares + float(((new - mean) ** 2).sum()) + shift**2 * self.count * count / total
        return Running(total, self.mean + shift * count / total, squares)

    @property
    def spread(self) -> float:
        """Standard deviation; 1 where there is none to speak of."""
        found = math.sqrt(self.squares / (self.count - 1)) if self.count > 1 else 0.0
        return found if found > _TINY else 1.0

    def normal(self, numbers: Tensor) -> Tensor:
        """Return numbers with the running mean taken away, divided by the running spread."""
        return (numbers - self.mean) / self.spread
