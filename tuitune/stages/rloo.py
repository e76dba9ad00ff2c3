"""RLOO: GRPO's answers, each as one action (Ahmadian et al., "Back to Basics", arXiv 2402.14740).

The numbers are those of trl's trainer, with averages over the whole optimizer step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import torch

from tuitune.stages.grpo import Grpo
from tuitune.stages.online.clipping import surrogate
from tuitune.stages.online.figures import clip_ratios
from tuitune.stages.online.groupwise import leave_one_out

if TYPE_CHECKING:
    from torch import Tensor

    from tuitune.data import Example
    from tuitune.models.paths import Reading
    from tuitune.stages.base import Figure


class Rloo(Grpo):
    """An answer is one action: one ratio for all its tokens, the KL a part of its reward, its sisters the baseline."""

    name: ClassVar[str] = "rloo"
    _in_loss: ClassVar[bool] = False

    def items(self, examples: Sequence[Example]) -> int:
        """Return the number of answers."""
        return sum(len(example.sequences) for example in examples)

    def _policy(
        self, reading: Reading, new: Tensor, old: Tensor, advantages: Tensor, *, moved: bool
    ) -> tuple[Tensor, dict[str, Figure]]:
        wide = advantages.double()
        loss, clipped = surrogate(reading.sums(new), reading.sums(old), wide, *self._bounds())
        return loss.sum(), clip_ratios(clipped, wide) if moved else {}

    @property
    def _needs_old(self) -> bool:
        return self.steps_per_batch > 1 or self.needs_reference

    def _judged(
        self, rewards: Tensor, old: Sequence[Sequence[Tensor]], reference: Sequence[Sequence[Tensor]]
    ) -> tuple[Tensor, dict[str, tuple[float, float]]]:
        if not self.needs_reference:
            return leave_one_out(rewards), {}
        kl = torch.stack([
            (mine.double() - other.double()).sum()
            for own, others in zip(old, reference, strict=True) for mine, other in zip(own, others, strict=True)
        ])  # fmt: skip
        tokens = sum(len(logps) for group in old for logps in group)
        penalised = rewards - self.recipe.grpo_beta * kl.view_as(rewards)
        return leave_one_out(penalised), {"kl": (float(kl.sum()), float(tokens))}
