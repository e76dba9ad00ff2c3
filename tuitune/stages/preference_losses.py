"""What a pair of answers costs: losses of log ratios (DPO and its kin), and of mean log probabilities (ORPO, SimPO).

All take and return float64 of shape (pairs,). A log ratio is that of an answer's probabilities under the model and
under the reference, summed over its tokens (their mean for `ipo`). Every loss is one per pair, so that a step's mean
does not depend on how the step was cut.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import logsigmoid

if TYPE_CHECKING:
    from torch import Tensor

_NEARLY_ONE = -1e-12  # log probability; the odds of a certain answer are infinite


@dataclass(frozen=True)
class Pairs:
    """What is known of some pairs, each (pairs,) in float64.

    chosen, rejected: log ratios, or mean log probabilities for losses without a reference. logps: of both answers, what
    the model alone says, to be shown. likelihood: mean log probability of the chosen answers' tokens.
    """

    chosen: Tensor
    rejected: Tensor
    logps: tuple[Tensor, Tensor]
    likelihood: Tensor


def sigmoid(margin: Tensor, beta: float, smoothing: float = 0.0) -> Tensor:
    """Return -log sigmoid(beta * margin), margin the difference of both log ratios (DPO, arXiv 2305.18290, eq. 7).

    smoothing: share e of pairs that are the wrong way round: (1 - e) * loss + e * loss of the turned pair (conservative
    DPO, Mitchell 2023, ericmitchell.ai/cdpo.pdf, eq. 3).
    """
    return -(1 - smoothing) * logsigmoid(beta * margin) - smoothing * logsigmoid(-beta * margin)


def robust(margin: Tensor, beta: float, smoothing: float) -> Tensor:
    """Return the loss that is unbiased under a share `smoothing` of turned pairs (Chowdhury et al., arXiv 2403.00409,
    eq. 11): ((1 - e) * loss - e * loss of the turned pair) / (1 - 2e).
    """
    right, turned = -logsigmoid(beta * margin), -logsigmoid(-beta * margin)
    return ((1 - smoothing) * right - smoothing * turned) / (1 - 2 * smoothing)


def hinge(margin: Tensor, beta: float) -> Tensor:
    """Return max(0, 1 - beta * margin) (SLiC-HF's calibration, arXiv 2305.10425, on log ratios: RSO, 2309.06657)."""
    return torch.relu(1 - beta * margin)


def ipo(margin: Tensor, beta: float) -> Tensor:
    """Return (margin - 1 / (2 beta))^2 (IPO, arXiv 2310.12036, eq. 17, beta its tau).

    margin: of log ratios averaged over tokens, as the authors told trl, and as LLaMA-Factory has it.
    """
    return (margin - 1 / (2 * beta)) ** 2


def kto_pair(
    chosen: Tensor,
    rejected: Tensor,
    beta: float,
    baselines: tuple[float, float],
    weights: tuple[float, float] = (1.0, 1.0),
) -> Tensor:
    """Return the mean of KTO's two values of a pair (HALOs: Ethayarajh et al., arXiv 2402.01306, eq. 8).

    w+ * (1 - sigmoid(beta * (chosen - z-))) and w- * (1 - sigmoid(beta * (z+ - rejected))). baselines: (z+, z-), the
    mean log ratio of all chosen and of all rejected answers of a step, at least 0, no gradient, each for the other kind
    (as trl 0.8 had it, but for the gradient, which the paper rules out).
    """
    good = 1 - torch.sigmoid(beta * (chosen - baselines[1]))
    bad = 1 - torch.sigmoid(beta * (baselines[0] - rejected))
    return (weights[0] * good + weights[1] * bad) / 2


def baselines(seen: Sequence[Pairs]) -> tuple[float, float]:
    """Return kto_pair's: the mean log ratio of all chosen and of all rejected answers, at least 0."""
    if not seen:
        return 0.0, 0.0
    chosen, rejected = torch.cat([pairs.chosen for pairs in seen]), torch.cat([pairs.rejected for pairs in seen])
    return max(0.0, float(chosen.detach().mean())), max(0.0, float(rejected.detach().mean()))


def bco(chosen: Tensor, rejected: Tensor, beta: float, shift: float) -> Tensor:
    """Return binary classifier optimisation of a pair (Jung et al., arXiv 2404.04656, eq. 9), rewards beta * log ratio.

    shift: the running mean reward delta: -log sigmoid(r+ - delta) - log sigmoid(-(r- - delta)).
    """
    return -logsigmoid(beta * chosen - shift) - logsigmoid(shift - beta * rejected)


def odds_ratio(chosen: Tensor, rejected: Tensor) -> Tensor:
    """Return -log sigmoid(log odds of chosen - log odds of rejected) (ORPO, arXiv 2403.07691, eq. 7).

    From mean log probabilities; ORPO's loss is -chosen + beta * this (eq. 6, beta its lambda).
    """
    return -logsigmoid(_log_odds(chosen) - _log_odds(rejected))


def simpo(chosen: Tensor, rejected: Tensor, beta: float, gamma: float) -> Tensor:
    """Return -log sigmoid(beta * (chosen - rejected) - gamma), of mean log probabilities (SimPO, 2405.14734, eq. 6)."""
    return -logsigmoid(beta * (chosen - rejected) - gamma)


def _log_odds(logp: Tensor) -> Tensor:
    """Return log(p / (1 - p)) from log p, exact at both ends."""
    logp = logp.clamp(max=_NEARLY_ONE)
    near = logp > -math.log(2)
    rest = torch.where(near, torch.log(-torch.expm1(torch.where(near, logp, -1.0))), torch.log1p(-torch.exp(logp)))
    return logp - rest
