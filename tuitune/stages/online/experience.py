"""What ppo learns from: answers with all that was true of them when they were given; computed once for a buffer."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from tuitune.data import Example
from tuitune.stages.online.advantages import gae, whitened
from tuitune.stages.online.groups import row_of
from tuitune.stages.online.rewards import Judged

if TYPE_CHECKING:
    from torch import Tensor

    from tuitune.recipe import Recipe
    from tuitune.stages.base import Figure
    from tuitune.stages.online.answer import Answer
    from tuitune.stages.online.reading import Told


@dataclass(frozen=True, slots=True)
class Tried(Example):
    """An answer that was judged; what it came to.

    score: what it is worth (NaN: no reward says anything), parts: what each reward says. kl: the sum over its tokens of
    the log probability less the reference's, NaN without a reference. length: its tokens. ended: by its end token.
    entropy: the sum over its tokens, where it was asked for.
    """

    score: float = math.nan
    parts: Mapping[str, float] = field(default_factory=dict)
    kl: float = math.nan
    length: int = 0
    ended: bool = False
    entropy: float = math.nan

    def learned(self, numbers: Numbers, weight: float) -> Lesson:
        """Return it with what is learned from it."""
        return Lesson(
            self.sequences, self.index, score=self.score, parts=self.parts, kl=self.kl, length=self.length,
            ended=self.ended, numbers=numbers, weight=weight,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Numbers:
    """Of each token of an answer, (T,) float64 on the CPU: log probability and value when it was given, advantage, and
    what the value should have been.
    """

    logps: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor


@dataclass(frozen=True, slots=True)
class Lesson(Tried):
    """An answer to learn from; weight: that of the KL penalty in its advantages."""

    numbers: Numbers | None = None
    weight: float = 0.0


def tried_of(
    answers: Sequence[Answer], judged: Judged, said: Sequence[Told], reference: Sequence[Told] | None
) -> list[Tried]:
    """Return what answers came to, which were judged, and looked at by the model and the reference."""
    sums = [math.nan] * len(answers) if reference is None else [float(kl.sum()) for kl in kls(said, reference)]
    return [
        Tried(
            (row_of(answer),), i, score=judged.totals[i], parts={name: own[i] for name, own in judged.parts.items()},
            kl=sums[i], length=len(answer.ids), ended=answer.ended,
            entropy=math.nan if one.entropy is None else float(one.entropy.sum()),
        )
        for i, (answer, one) in enumerate(zip(answers, said, strict=True))
    ]  # fmt: skip


def judged_of(tried: Sequence[Tried]) -> Judged:
    """Return what the rewards said of answers."""
    names = list(tried[0].parts)
    return Judged([one.score for one in tried], {name: [one.parts[name] for one in tried] for name in names})


def figures_of(tried: Sequence[Tried]) -> dict[str, Figure]:
    """Return what answers came to: rewards, KL per answer, tokens, and the share that did not end by itself."""
    count = len(tried)
    out = judged_of(tried).figures() | {
        "completions/mean_length": (sum(one.length for one in tried), count),
        "completions/clipped_ratio": (sum(not one.ended for one in tried), count),
    }
    if not math.isnan(tried[0].kl):
        out["kl"] = (math.fsum(one.kl for one in tried), count)
    return {name: (torch.tensor(float(value), dtype=torch.float64), n) for name, (value, n) in out.items()}


def numbers_of(
    said: Sequence[Told], reference: Sequence[Told] | None, scores: Sequence[float], weight: float, recipe: Recipe
) -> list[Numbers]:
    """Return what is learned from answers; every sequence holds one item for each.

    The reward of a token is the KL penalty, and the last one's is the score besides (Ziegler et al., arXiv 1909.08593,
    section 2.2). Rewards are whitened if asked, advantages always, over all tokens of all answers.
    """
    rewards = [
        _rewards(one, kl, score, weight) for one, kl, score in zip(said, kls(said, reference), scores, strict=True)
    ]
    if recipe.ppo_whiten_rewards:
        rewards = whitened(rewards, keep_mean=True)
    values = [_values(one) for one in said]
    raw = [gae(r, v, recipe.ppo_gamma, recipe.ppo_lambda) for r, v in zip(rewards, values, strict=True)]
    advantages = whitened(raw)
    return [
        Numbers(one.logps.double(), v, a, plain + v)
        for one, v, a, plain in zip(said, values, advantages, raw, strict=True)
    ]


def kls(said: Sequence[Told], reference: Sequence[Told] | None) -> list[Tensor]:
    """Return log p - log p of the reference, per token; zeros without one."""
    if reference is None:
        return [torch.zeros(len(one.logps), dtype=torch.float64) for one in said]
    return [one.logps.double() - other.logps.double() for one, other in zip(said, reference, strict=True)]


def _values(one: Told) -> Tensor:
    assert one.values is not None
    return one.values.double()


def _rewards(one: Told, kl: Tensor, score: float, weight: float) -> Tensor:
    rewards = -weight * kl
    rewards[-1] += score
    return rewards
