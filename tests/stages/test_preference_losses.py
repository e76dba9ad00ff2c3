"""Every loss of a pair against the formula of its paper, written down here once more in plain floats."""

from __future__ import annotations

import math

import pytest
import torch

from tuitune.stages import preference_losses as costs

CHOSEN = [1.5, -3.0, 0.0, 40.0, -90.0]
REJECTED = [-0.5, 2.0, 0.0, -35.0, 70.0]
BETAS = [0.1, 0.5, 2.0]


def s(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x >= 0 else math.exp(x) / (1 + math.exp(x))


def minus_log_s(x: float) -> float:
    return math.log1p(math.exp(-x)) if x >= 0 else -x + math.log1p(math.exp(x))


def tensors() -> tuple[torch.Tensor, torch.Tensor]:
    chosen, rejected = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (CHOSEN, REJECTED))
    return chosen, rejected


def near(mine: torch.Tensor, wanted: list[float]) -> None:
    assert mine.dtype == torch.float64
    assert mine.tolist() == pytest.approx(wanted, rel=1e-12, abs=1e-300)


@pytest.mark.parametrize("beta", BETAS)
def test_losses_of_log_ratios(beta: float) -> None:
    chosen, rejected = tensors()
    margins = [c - r for c, r in zip(CHOSEN, REJECTED, strict=True)]
    margin = chosen - rejected
    near(costs.sigmoid(margin, beta), [minus_log_s(beta * h) for h in margins])
    e = 0.2
    near(
        costs.sigmoid(margin, beta, e), [(1 - e) * minus_log_s(beta * h) + e * minus_log_s(-beta * h) for h in margins]
    )
    turned = [((1 - e) * minus_log_s(beta * h) - e * minus_log_s(-beta * h)) / (1 - 2 * e) for h in margins]
    near(costs.robust(margin, beta, e), turned)
    near(costs.robust(margin, beta, 0.0), [minus_log_s(beta * h) for h in margins])
    near(costs.hinge(margin, beta), [max(0.0, 1 - beta * h) for h in margins])
    near(costs.ipo(margin, beta), [(h - 1 / (2 * beta)) ** 2 for h in margins])


@pytest.mark.parametrize("beta", BETAS)
def test_losses_that_look_at_each_answer(beta: float) -> None:
    chosen, rejected = tensors()
    baselines, weights = (0.7, 2.0), (1.5, 0.5)
    mine = costs.kto_pair(chosen, rejected, beta, baselines, weights)
    value = [
        (1.5 * (1 - s(beta * (c - 2.0))) + 0.5 * (1 - s(beta * (0.7 - r)))) / 2
        for c, r in zip(CHOSEN, REJECTED, strict=True)
    ]
    assert mine.tolist() == pytest.approx(value, rel=1e-9, abs=1e-15)
    shift = 0.3
    bco = [
        minus_log_s(beta * c - shift) + minus_log_s(-(beta * r - shift)) for c, r in zip(CHOSEN, REJECTED, strict=True)
    ]
    near(costs.bco(chosen, rejected, beta, shift), bco)


@pytest.mark.parametrize("beta", BETAS)
def test_losses_of_mean_log_probabilities(beta: float) -> None:
    a, b = [-1.5, -0.01, -5.0, -1e-9, -300.0], [-0.5, -2.0, -1e-7, -0.3, -2.0]
    chosen, rejected = torch.tensor(a, dtype=torch.float64), torch.tensor(b, dtype=torch.float64)

    def odds(x: float) -> float:
        return x - math.log(-math.expm1(x))

    near(costs.odds_ratio(chosen, rejected), [minus_log_s(odds(x) - odds(y)) for x, y in zip(a, b, strict=True)])
    simpo = [minus_log_s(beta * (x - y) - 0.8) for x, y in zip(a, b, strict=True)]
    near(costs.simpo(chosen, rejected, beta, 0.8), simpo)


def test_gradients_are_finite_at_the_ends_and_go_the_right_way() -> None:
    certain = torch.tensor([0.0, -1e-20, -700.0, -0.7], dtype=torch.float64, requires_grad=True)
    other = torch.tensor([-0.5, -0.5, -0.5, 0.0], dtype=torch.float64, requires_grad=True)
    loss = costs.odds_ratio(certain, other)
    assert loss.isfinite().all()
    for gradient in torch.autograd.grad(loss.sum(), [certain, other]):
        assert gradient.isfinite().all()
    chosen, rejected = tensors()
    margin = chosen - rejected
    for loss in (
        costs.sigmoid(margin, 0.1), costs.robust(margin, 0.1, 0.1), costs.hinge(margin, 0.1),
        costs.kto_pair(chosen, rejected, 0.1, (0.0, 0.0)), costs.bco(chosen, rejected, 0.1, 0.0),
    ):  # fmt: skip
        up, down = torch.autograd.grad(loss.sum(), [chosen, rejected], retain_graph=True)
        assert (up <= 0).all()
        assert (down >= 0).all()
        assert up.sum() < 0 < down.sum()
