"""What is measured between two models, against numpy; and that every bound can fail."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tuitune.errors import ModelError
from tuitune.export.agree import EXACT, Bound, hold, measure


def draw(seed: int) -> torch.Tensor:
    return torch.randn(1, 7, 30, generator=torch.Generator().manual_seed(seed))


def test_it_is_what_numpy_says() -> None:
    truth, found = draw(0), draw(0) + 0.1 * draw(1)
    a, b = truth[0].double().numpy(), found[0].double().numpy()
    made = measure(found, truth)
    p, q = (np.exp(x) / np.exp(x).sum(-1, keepdims=True) for x in (a, b))
    assert made.kl == pytest.approx((p * np.log(p / q)).sum(-1).mean(), rel=1e-4)
    flat = [x - x.mean(-1, keepdims=True) for x in (a, b)]
    assert made.relative == pytest.approx(np.linalg.norm(flat[1] - flat[0]) / np.linalg.norm(flat[0]), rel=1e-5)
    assert made.top1 == pytest.approx((a.argmax(-1) == b.argmax(-1)).mean())
    assert made.difference == pytest.approx(np.abs(a - b).max(), rel=1e-5)


def test_what_no_probability_shows_is_no_error() -> None:
    made = measure(draw(0) + 5, draw(0))
    assert (made.relative, made.kl, made.top1) == (pytest.approx(0, abs=1e-6), pytest.approx(0, abs=1e-6), 1.0)


@pytest.mark.parametrize(
    "bound", [EXACT, Bound(relative=0.05), Bound(kl=1e-3), Bound(top1=1.0)], ids=["largest", "relative", "kl", "top1"]
)
def test_every_bound_can_fail_and_be_met(bound: Bound) -> None:
    truth = draw(0)
    assert hold(truth + 1e-6 * draw(1), truth, bound, "x").bound == bound.words()
    with pytest.raises(ModelError, match="x does not answer as it should"):
        hold(truth + 0.4 * draw(1), truth, bound, "x")


@pytest.mark.parametrize("spoilt", [float("nan"), float("inf")])
def test_what_is_no_number_is_no_answer(spoilt: float) -> None:
    truth, found = draw(0), draw(0)
    found[0, 0, 0] = spoilt
    for bound in (EXACT, Bound(relative=2), Bound(kl=100), Bound()):
        with pytest.raises(ModelError):
            hold(found, truth, bound, "x")
    with pytest.raises(ModelError):
        hold(truth, found, Bound(relative=2), "x")


def test_another_vocabulary_is_said() -> None:
    with pytest.raises(ModelError, match="another shape"):
        hold(draw(0)[..., :20], draw(0), EXACT, "x")
