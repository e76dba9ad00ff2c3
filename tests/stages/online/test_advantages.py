"""Advantages, whitening and the KL controller, against slow rewrites of their definitions."""

from __future__ import annotations

import statistics

import pytest
import torch

from tuitune.stages.online.advantages import Controller, Running, gae, whitened
from tuitune.stages.online.clipping import surrogate, value_loss


def numbers(count: int, seed: int) -> torch.Tensor:
    """Return random float64 numbers."""
    return torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.5), (1.0, 1.0), (0.97, 0.0)])
def test_gae_is_the_weighted_sum_of_all_later_surprises(gamma: float, lam: float) -> None:
    rewards, values = numbers(7, 1), numbers(7, 2)
    after = [*values[1:].tolist(), 0.0]
    surprise = [rewards[t].item() + gamma * after[t] - values[t].item() for t in range(7)]
    expected = [sum((gamma * lam) ** k * surprise[t + k] for k in range(7 - t)) for t in range(7)]
    assert gae(rewards, values, gamma, lam).tolist() == pytest.approx(expected, abs=1e-13)


def test_with_lambda_1_an_advantage_is_what_came_less_what_was_expected() -> None:
    rewards, values = numbers(5, 3), numbers(5, 4)
    found = gae(rewards, values, 1.0, 1.0)
    assert torch.allclose(found + values, rewards.flip(0).cumsum(0).flip(0))


def test_whitening_goes_over_all_parts_together() -> None:
    parts = [3 * numbers(4, 5) + 2, numbers(1, 6), numbers(6, 7)]
    every = [x for part in parts for x in part.tolist()]
    mean, spread = statistics.fmean(every), statistics.stdev(every)
    found = [x for part in whitened(parts) for x in part.tolist()]
    assert found == pytest.approx([(x - mean) / spread for x in every], abs=1e-7)
    kept = [x for part in whitened(parts, keep_mean=True) for x in part.tolist()]
    assert kept == pytest.approx([(x - mean) / spread + mean for x in every], abs=1e-7)
    assert [len(part) for part in whitened(parts)] == [4, 1, 6]


def test_a_single_token_has_no_spread() -> None:
    assert whitened([torch.tensor([4.0])])[0].tolist() == [0.0]
    assert whitened([torch.tensor([4.0])], keep_mean=True)[0].tolist() == [4.0]
    assert whitened([torch.tensor([4.0, 4.0])])[0].tolist() == [0.0, 0.0]


def test_the_penalty_follows_the_kl() -> None:
    steady = Controller(0.2, 6.0, 10_000.0)
    assert steady.after(6.0, 256).weight == 0.2
    assert steady.after(6.6, 256).weight == pytest.approx(0.2 * (1 + 0.1 * 256 / 10_000))
    assert steady.after(600.0, 256).weight == pytest.approx(0.2 * (1 + 0.2 * 256 / 10_000))  # moved by 0.2 at most
    assert steady.after(0.0, 256).weight == pytest.approx(0.2 * (1 - 0.2 * 256 / 10_000))
    assert Controller(0.2, 6.0, 0).after(600.0, 256).weight == 0.2
    assert steady.after(float("nan"), 256).weight == 0.2
    assert Controller(0.2, 6.0, 10.0).after(0.0, 256).weight == 0.0  # never negative


def test_running_mean_and_spread_are_those_of_all_numbers() -> None:
    running, seen = Running(), []
    for seed, count in ((1, 5), (2, 1), (3, 12)):
        new = 1e3 + numbers(count, seed)
        running, seen = running.after(new), [*seen, *new.tolist()]
        assert running.mean == pytest.approx(statistics.fmean(seen), rel=1e-14)
        assert running.spread == pytest.approx(statistics.stdev(seen), rel=1e-9)
    found = running.normal(torch.tensor([1e3], dtype=torch.float64))
    assert found.item() == pytest.approx((1e3 - statistics.fmean(seen)) / statistics.stdev(seen))
    assert Running().after(torch.tensor([2.0])).spread == 1.0


def test_the_clipped_surrogate_by_cases() -> None:
    old = torch.zeros(6, dtype=torch.float64)
    ratio = torch.tensor([1.0, 1.5, 0.5, 1.5, 0.5, 1.1], dtype=torch.float64)
    advantages = torch.tensor([2.0, 2.0, 2.0, -2.0, -2.0, -2.0], dtype=torch.float64)
    loss, clipped = surrogate(ratio.log(), old, advantages, 0.2, 0.3)
    assert loss.tolist() == pytest.approx([-2.0, -2.6, -1.0, 3.0, 1.6, 2.2])
    assert clipped.tolist() == [False, True, False, False, True, False]


def test_the_clipped_value_loss_by_cases() -> None:
    new, old = torch.tensor([1.0, 1.0, -1.0, 0.1]), torch.zeros(4)
    returns = torch.tensor([1.0, -1.0, 1.0, 0.0])
    assert value_loss(new, old, returns, 0.2).tolist() == pytest.approx([0.32, 2.0, 2.0, 0.005])


def test_gradients_are_those_of_finite_differences() -> None:
    old, advantages, returns = numbers(30, 1), numbers(30, 2), numbers(30, 3)
    new = (old + 0.3 * numbers(30, 4)).requires_grad_()

    def loss(x: torch.Tensor) -> torch.Tensor:
        return (surrogate(x, old, advantages, 0.2, 0.2)[0] + 0.1 * value_loss(x, old, returns, 0.2)).sum()

    loss(new).backward()
    assert new.grad is not None
    for i in range(30):
        step = torch.zeros(30, dtype=torch.float64)
        step[i] = 1e-6
        slope = float(loss(new.detach() + step) - loss(new.detach() - step)) / 2e-6
        assert new.grad[i].item() == pytest.approx(slope, abs=1e-8)
