"""Which token an answer takes, decided by a number that was drawn for this answer and place before.

So it does not depend on who else was in the batch (beyond rounding), nor on the random state of the training, which
stays untouched.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from transformers import LogitsProcessor
from transformers.generation.logits_process import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

if TYPE_CHECKING:
    from torch import Tensor

    from tuitune.models.generate import Sampling

_SLICE = 16  # rows whose distributions are looked at together, in float64


def step_seed(seed: int, step: int) -> int:
    """Return the seed of the answers of an optimizer step (0: of an evaluation)."""
    return (seed * 1_000_003 + step * 2_654_435_761) % 2**62


def drawn(seed: int, rows: int, tokens: int) -> Tensor:
    """Return the numbers (rows, tokens) that decide which token an answer takes at each place."""
    source = torch.Generator().manual_seed(seed)
    return torch.rand(rows, tokens, generator=source, dtype=torch.float64)


class Choice(LogitsProcessor):
    """Leaves one token of each row, the one that the drawn number (rows, tokens) falls on."""

    def __init__(self, draws: Tensor, sampling: Sampling) -> None:
        self._draws, self._place = draws, 0
        self._warpers: list[Any] = []
        if sampling.temperature != 1.0:
            self._warpers.append(TemperatureLogitsWarper(sampling.temperature))
        if sampling.top_k:
            self._warpers.append(TopKLogitsWarper(sampling.top_k))
        if sampling.top_p < 1.0:
            self._warpers.append(TopPLogitsWarper(sampling.top_p))

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        for warper in self._warpers:
            scores = warper(input_ids, scores)
        chosen = torch.cat([_fallen_on(part, draw) for part, draw in self._slices(scores)])
        self._place += 1
        return torch.full_like(scores, float("-inf")).scatter_(1, chosen[:, None], 0.0)

    def _slices(self, scores: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        draws = self._draws[:, self._place]
        return zip(torch.split(scores, _SLICE), torch.split(draws, _SLICE), strict=True)


def _fallen_on(scores: Tensor, draws: Tensor) -> Tensor:
    """Return the tokens (n,) at which the cumulated probabilities of scores (n, V) pass draws (n,)."""
    below = scores.double().softmax(-1).cumsum(-1)
    chosen = (below <= draws[:, None] * below[:, -1:]).sum(-1)
    return chosen.clamp_(max=scores.shape[1] - 1)
