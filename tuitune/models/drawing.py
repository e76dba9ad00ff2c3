"""The next token of a reply: drawn with random numbers of the reply's own, its probability kept where that is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from transformers import LogitsProcessor
from transformers.generation.logits_process import (
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

if TYPE_CHECKING:
    from torch import Tensor

    from tuitune.models.generate import Sampling

Likely = tuple[float, tuple[tuple[int, float], ...]]
"""The natural logarithm of a token's probability, and the likeliest tokens with theirs."""


class Drawing(LogitsProcessor):
    """Leaves one token of a row, the chosen one, so that a greedy `generate` takes it.

    transformers draws from the global generator, which threads and a training share: with one for each reply the same
    seed gives the same answer whatever else runs. With a seed it draws what `generate` draws after `manual_seed`.
    """

    def __init__(self, sampling: Sampling, device: torch.device) -> None:
        self._generator = torch.Generator(device)
        if sampling.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(sampling.seed)
        self._greedy = not (sampling.do_sample and sampling.temperature > 0)
        self._warpers = list(_warpers(sampling, greedy=self._greedy))
        self._count = sampling.logprobs
        self.likely: list[Likely] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return scores (1, V) that are 0 for the chosen token and minus infinity for all others."""
        return torch.full_like(scores, float("-inf")).scatter_(1, self.draw(input_ids, scores), 0.0)

    def draw(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return the chosen token (1, 1) for scores (1, V) behind the tokens (1, L)."""
        warped = scores
        for warper in self._warpers:
            warped = warper(input_ids, warped)
        if self._greedy:
            chosen = warped.argmax(-1, keepdim=True)
        else:
            chosen = torch.multinomial(warped.softmax(-1), 1, generator=self._generator)
        if self._count is not None:
            self.likely.append(_likely(scores, int(chosen), self._count))
        return chosen


def _warpers(sampling: Sampling, *, greedy: bool) -> list[Any]:
    """Return what changes the scores, in the order in which `generate` applies it."""
    found: list[Any] = []
    if sampling.repetition_penalty != 1.0:
        found.append(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    if greedy:
        return found
    if sampling.temperature != 1.0:
        found.append(TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        found.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1.0:
        found.append(TopPLogitsWarper(sampling.top_p))
    return found


def _likely(scores: Tensor, chosen: int, count: int) -> Likely:
    """Return what the model itself (scores (1, V), untouched) gives to the chosen and the `count` likeliest tokens."""
    known = scores[0].float().log_softmax(-1)
    values, ids = known.topk(min(count, len(known)))
    return float(known[chosen]), tuple(zip(ids.tolist(), values.tolist(), strict=True))
