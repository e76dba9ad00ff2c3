"""APOLLO: its update rule in float64, the authors' package, its random projections, and the whole cycle."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.methods.cycle import learns_and_reloads, mainly, resumes_exactly
from tests.methods.test_galore import SHAPES, gradients, stepped
from tests.tiny import tiny_model
from tuitune.errors import ModelError
from tuitune.methods.apollo import Apollo
from tuitune.methods.matrices import targets
from tuitune.methods.projection import at_random, seed_of

BASE: dict[str, Any] = {
    "finetuning_type": "full", "use_apollo": True, "apollo_rank": 8, "apollo_update_interval": 3, "apollo_scale": 4.0,
    "weight_decay": 0.01,
}  # fmt: skip
RANK, INTERVAL, SCALE, LR, BETAS = 4, 3, 9.0, 0.05, (0.9, 0.99)


def made(p: nn.Parameter, **more: Any) -> Apollo:
    values: dict[str, Any] = {
        "rank": RANK, "interval": INTERVAL, "scale": SCALE, "kind": "std", "random": True, "channel": True,
        "front": False, "seed": 5, "lr": LR, "betas": BETAS, "eps": 1e-8, "weight_decay": 0.0,
    }  # fmt: skip
    return Apollo([{"params": [p], "projected": True, "eight_bit": False}], **values | more)


def projector(grad: Tensor, renewal: int, kind: str, *, random: bool) -> tuple[Tensor, bool]:
    """Return a float64 basis and whether it stands on the right side."""
    tall = grad.shape[0] >= grad.shape[1]
    right = {"std": tall, "right": True, "left": False}[kind]
    if random:
        drawn = at_random(grad.shape, RANK, kind, seed_of(5, 0, renewal), grad.device)
        basis = drawn.right if right else drawn.left
        assert basis is not None
        return basis.double(), right
    u, _, vh = torch.linalg.svd(grad, full_matrices=False)
    return (vh[:RANK] if right else u[:, :RANK]).double(), right


def paper(
    w: Tensor, grads: list[Tensor], kind: str, *, random: bool, channel: bool, front: bool, decay: float
) -> list[Tensor]:
    """Algorithm 1 of the paper in float64, with the limiter of its section 4.3 and the package's root of the scale."""
    w, seen, m, v, length = w.double(), [], 0.0, 0.0, None
    for t, single in enumerate(grads, start=1):
        g = single.double()
        if (t - 1) % INTERVAL == 0:
            basis, right = projector(single, (t - 1) // INTERVAL, kind, random=random)
        low = g @ basis.T if right else basis.T @ g
        m, v = BETAS[0] * m + (1 - BETAS[0]) * low, BETAS[1] * v + (1 - BETAS[1]) * low**2
        correction = math.sqrt(1 - BETAS[1] ** t)
        adam = (m / (1 - BETAS[0] ** t)) / (v.sqrt() / correction + 1e-8 / correction)
        if channel and right:
            factors = (adam.norm(dim=1) / low.norm(dim=1))[:, None]
        elif channel:
            factors = (adam.norm(dim=0) / low.norm(dim=0))[None, :]
        else:
            factors = adam.norm() / low.norm()
        # The correction of the first moments belongs to the step size in the package: the limiter does not see it.
        step = LR * correction / (1 - BETAS[0] ** t)
        update = g * factors * (LR / step) * (math.sqrt(SCALE) if front else 1.0)
        if length is not None and update.norm() > 1.01 * length:
            update = update / update.norm() * 1.01 * length
        length = update.norm()
        w = w - step * update * (1.0 if front else math.sqrt(SCALE))
        w = w - LR * decay * w
        seen.append(w)
    return seen


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("front", [False, True])
@pytest.mark.parametrize("channel", [False, True])
@pytest.mark.parametrize("random", [False, True])
@pytest.mark.parametrize("kind", ["std", "left", "right"])
def test_the_papers_rule_in_float64(
    kind: str, random: bool, channel: bool, front: bool, shape: tuple[int, int]
) -> None:
    p = nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    grads = gradients(shape, 8)
    grads[5] *= 7  # the limiter has something to do
    given: dict[str, Any] = {"random": random, "channel": channel, "front": front}
    expected = paper(p.detach(), grads, kind, **given, decay=0.1)
    found = stepped(p, made(p, kind=kind, weight_decay=0.1, **given), grads)
    for step, (a, b) in enumerate(zip(found, expected, strict=True)):
        torch.testing.assert_close(a.double(), b, rtol=2e-5, atol=2e-5, msg=lambda m, n=step: f"step {n}: {m}")


def test_the_limiter_holds_growth_to_one_percent() -> None:
    p = nn.Parameter(torch.zeros(12, 7))
    optimizer = made(p, interval=100, betas=(0.0, 0.999))
    grad, lengths = gradients((12, 7), 1)[0], []
    for factor in (1.0, 1.0, 1.0, 1.0, 1e3, 1e3):
        stepped(p, optimizer, [grad * factor])
        lengths.append(float(optimizer.state[p]["norm"]))
    assert lengths[3] < 0.6 * lengths[0]  # while the second moment fills
    assert lengths[4] / lengths[3] == pytest.approx(1.01, rel=1e-4)  # it would be more than twice as long


def test_a_matrix_without_a_gradient_so_far_is_not_held_at_nothing() -> None:
    """An expert that no token reached: the authors' rule would let its first update grow from zero for ever."""
    stack = nn.Parameter(torch.zeros(2, 12, 7))
    optimizer = made(stack)
    first = torch.zeros(2, 12, 7)
    first[0] = gradients((12, 7), 1)[0]
    stepped(stack, optimizer, [first, first.flip(0)])
    assert float(stack[1].detach().norm()) > 0.1 * float(stack[0].detach().norm())


def test_the_random_projection_is_drawn_again_from_its_seed() -> None:
    p = nn.Parameter(torch.zeros(12, 7))
    optimizer = made(p)
    stepped(p, optimizer, gradients((12, 7), 2))
    state = optimizer.state[p]
    assert set(state) == {"step", "exp_avg", "exp_avg_sq", "norm", "seed"}  # no projector is kept
    first = state["seed"]
    stepped(p, optimizer, gradients((12, 7), 1))
    assert state["seed"] == first
    stepped(p, optimizer, gradients((12, 7), 1))
    assert state["seed"] != first
    one, other = (at_random(torch.Size((300, 50)), 20, "std", s, torch.device("cpu")).right for s in (first, first + 1))
    assert one is not None
    assert other is not None
    again = at_random(torch.Size((300, 50)), 20, "std", first, torch.device("cpu")).right
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    # Lengths are kept on average (Johnson and Lindenstrauss): variance 1 / rank.
    assert float(one.square().mean()) * 20 == pytest.approx(1.0, abs=0.15)
    assert len({seed_of(1, tensor, renewal) for tensor in range(30) for renewal in range(30)}) == 900


def test_an_unknown_target_lists_the_valid_ones() -> None:
    with pytest.raises(ModelError, match="apollo_target: no layer of this model has 'qkv' in its name"):
        targets(tiny_model(), ("qkv",), "apollo_target")


CASES: dict[str, dict[str, Any]] = {
    "channel": {},
    "mini": {"apollo_scale_type": "tensor", "apollo_rank": 1, "apollo_scale": 16.0},
    "svd right front": {"apollo_proj": "svd", "apollo_proj_type": "right", "apollo_scale_front": True},
    "left": {"apollo_proj_type": "left", "apollo_target": "mlp,q_proj"},
}


@pytest.mark.parametrize("case", CASES)
def test_learns_and_reloads(root: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    learns_and_reloads(root, monkeypatch, **BASE | CASES[case])


@pytest.mark.parametrize("case", mainly(CASES, "channel", "mini", "svd right front"))
def test_resumes_exactly(root: Path, case: str) -> None:
    resumes_exactly(root, **BASE | CASES[case])


def test_resumes_exactly_in_bf16(root: Path) -> None:
    resumes_exactly(root, **BASE, pure_bf16=True)
