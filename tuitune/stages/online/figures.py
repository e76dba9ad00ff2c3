"""Figures of groups of answers by trl's names, each a sum and a count."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tuitune.stages.online.groupwise import spreads

if TYPE_CHECKING:
    from torch import Tensor

    from tuitune.stages.base import Figure
    from tuitune.stages.online.answer import Answer
    from tuitune.stages.online.rewards import Judged


def clip_ratios(clipped: Tensor, advantages: Tensor) -> dict[str, Figure]:
    """Return the shares of those (N,) whose probability may fall, or rise, no further."""
    count = len(clipped)
    return {
        "clip_ratio/low_mean": ((clipped & (advantages < 0)).sum(), count),
        "clip_ratio/high_mean": ((clipped & (advantages > 0)).sum(), count),
        "clip_ratio/region_mean": (clipped.sum(), count),
    }


def of_answers(judged: Judged, given: Sequence[Answer]) -> dict[str, tuple[float, float]]:
    """Return rewards, tokens, and the share that did not end by itself."""
    count = float(len(given))
    return judged.figures() | {
        "completions/mean_length": (float(sum(len(answer.ids) for answer in given)), count),
        "completions/clipped_ratio": (float(sum(not answer.ended for answer in given)), count),
    }


def spread(rewards: Tensor) -> dict[str, tuple[float, float]]:
    """Return the spread of all rewards (prompts, answers), and how many prompts' answers are all worth the same."""
    alike = spreads(rewards).isclose(rewards.new_zeros(()))
    return {
        "reward_std": (float(spreads(rewards.reshape(1, -1))), 1.0),
        "frac_reward_zero_std": (float(alike.sum()), float(len(rewards))),
    }
