"""What the tokens of a text cost: plain likelihood, or DFT, ASFT and EAFT, which weigh each token's loss.

Weights are constants to the gradient, so the gradient of every one of these losses with respect to a token's logits
has a closed form, and the head can be computed in slices whatever is minimised.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

Name = Literal["nll", "dft", "asft", "eaft"]
_LIKELIEST = 20  # of the tokens stand for all in EAFT's entropy
_FULL_ENTROPY = 3.0  # about log(20); the authors and LLaMA-Factory divide by 3


@dataclass(frozen=True)
class Anchor:
    """What the reference says at N labelled positions: hidden states (N, H) for its head, or logits (N, V)."""

    rows: Tensor
    head: nn.Linear | None

    def log_probabilities(self, start: int, end: int, dtype: torch.dtype, exact: torch.dtype) -> Tensor:
        """Return those of the rows `start` to `end`, (n, V) in `exact`; dtype: of the head's product."""
        rows = self.rows[start:end]
        if self.head is not None:
            logits = (rows.to(dtype) @ self.head.weight.to(dtype).T).to(exact)
            rows = logits if self.head.bias is None else logits + self.head.bias
        return rows.to(exact).log_softmax(-1)


@dataclass(frozen=True)
class Objective:
    """Which loss, and its strength: ASFT's pull to the reference, or EAFT's power.

    nll: -log p(t).  dft: p(t) * -log p(t) with p(t) constant (Wu et al., arXiv 2508.05629, equation 9).
    asft: dft + alpha * KL(reference || model), over the whole vocabulary (Zhu et al., arXiv 2509.23753; the direction
    is that of the authors' code and of LLaMA-Factory).
    eaft: (H / 3)^alpha * -log p(t), H the constant entropy among the 20 likeliest tokens (arXiv 2601.02151).
    """

    name: Name = "nll"
    alpha: float = 0.0

    @property
    def anchored(self) -> bool:
        """Whether a reference is needed."""
        return self.name == "asft" and self.alpha > 0

    def weights(self, logits: Tensor, nll: Tensor) -> Tensor | None:
        """Return the constant factor of each token's loss (N,), from logits (N, V) and losses (N,); None for 1."""
        if self.name == "nll":
            return None
        if self.name == "eaft":
            return (_entropy(logits.detach()) / _FULL_ENTROPY).pow(self.alpha)
        return (-nll.detach()).exp()

    def plain(self, logits: Tensor, targets: Tensor, anchor: Anchor | None) -> Tensor:
        """Return the loss of each token (N,) from logits (N, V), by autograd."""
        nll = nn.functional.cross_entropy(logits, targets, reduction="none")
        weights = self.weights(logits, nll)
        loss = nll if weights is None else weights * nll
        if anchor is not None:
            reference = anchor.log_probabilities(0, len(targets), anchor.rows.dtype, logits.dtype)
            loss = loss + self.alpha * divergence(reference, logits.log_softmax(-1))
        return loss


PLAIN = Objective()


def divergence(reference: Tensor, model: Tensor) -> Tensor:
    """Return KL(reference || model) of each row (N,) from log probabilities (N, V)."""
    return (reference.exp() * (reference - model)).sum(-1)


def _entropy(logits: Tensor) -> Tensor:
    log_p = logits.topk(min(_LIKELIEST, logits.shape[-1]), dim=-1).values.log_softmax(-1)
    return (log_p.exp() * -log_p).sum(-1).clamp(min=0)
