"""Muon: torch's own rule step for step, the paper's in float64, AdamW for all that is no matrix, and exact resumes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.methods.cycle import learns_and_reloads, mainly, resumes_exactly
from tests.methods.own import backward, given
from tests.tiny import tiny_model
from tuitune.methods.muon import Muon, orthogonal

CASES: dict[str, dict[str, Any]] = {
    "full": {"finetuning_type": "full", "use_muon": True},
    "bf16": {"finetuning_type": "full", "use_muon": True, "pure_bf16": True},
    "freeze": {"finetuning_type": "freeze", "freeze_trainable_layers": 2, "use_muon": True},
}


@pytest.mark.parametrize("case", CASES)
def test_learns_and_reloads(root: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    within = 0.02 if case == "bf16" else 1e-5  # the chat computes bf16 weights in fp32 on a CPU
    learns_and_reloads(root, monkeypatch, within=within, **CASES[case])


@pytest.mark.parametrize("case", mainly(CASES, "full", "bf16"))
def test_resumes_exactly(root: Path, case: str) -> None:
    resumes_exactly(root, **CASES[case], weight_decay=0.1)


@pytest.mark.parametrize("weights", [torch.float32, torch.bfloat16])
def test_a_matrix_moves_as_with_torchs_muon_in_every_bit(weights: torch.dtype) -> None:
    torch.manual_seed(0)
    for shape in ((48, 32), (32, 48), (40, 40)):
        ours = nn.Parameter(torch.randn(shape).to(weights))
        theirs = nn.Parameter(ours.detach().clone())
        mine = Muon([{"params": [ours], "weight_decay": 0.1, "momentum": 0.95}], precision=torch.bfloat16, lr=0.02)
        torchs = torch.optim.Muon(
            [theirs], lr=0.02, weight_decay=0.1, momentum=0.95, nesterov=True, adjust_lr_fn="match_rms_adamw"
        )
        for _ in range(5):
            grad = torch.randn(shape).to(weights)
            ours.grad, theirs.grad = grad.clone(), grad.clone()
            mine.step()
            torchs.step()
            assert torch.equal(ours, theirs)


def _rule(weight: torch.Tensor, grads: list[torch.Tensor], lr: float, decay: float) -> torch.Tensor:
    """Liu et al. (arXiv 2502.16982), equation 4 and algorithm in section 2, in float64."""
    w, mean = weight.double(), torch.zeros_like(weight, dtype=torch.float64)
    for g in grads:
        mean = 0.95 * mean + 0.05 * g.double()
        x = 0.05 * g.double() + 0.95 * mean
        x = x / x.norm()
        for _ in range(5):
            x = 3.4445 * x - 4.7750 * (x @ x.T @ x) + 2.0315 * (x @ x.T @ x @ x.T @ x)
        w = w - lr * (0.2 * math.sqrt(max(w.shape)) * x + decay * w)
    return w


@pytest.mark.parametrize("shape", [(48, 32), (32, 48)])
def test_a_matrix_moves_by_the_papers_rule(shape: tuple[int, int]) -> None:
    torch.manual_seed(1)
    weight, grads = torch.randn(shape), [torch.randn(shape) for _ in range(4)]
    p = nn.Parameter(weight.clone())
    muon = Muon([{"params": [p], "weight_decay": 0.1, "momentum": 0.95}], lr=0.02)
    for grad in grads:
        p.grad = grad
        muon.step()
    assert (p.detach().double() - _rule(weight, grads, 0.02, 0.1)).abs().max() < 1e-5


def test_updates_are_orthogonal_also_of_stacked_experts() -> None:
    torch.manual_seed(2)
    stack = torch.randn(3, 24, 16)
    made = orthogonal(stack)
    for one, matrix in zip(made, stack, strict=True):
        assert torch.allclose(one, orthogonal(matrix), atol=1e-5)
        lengths = torch.linalg.svdvals(one)  # the coefficients bring them near 1, not to it
        assert lengths.min() > 0.6
        assert lengths.max() < 1.3
        assert torch.linalg.svdvals(matrix).max() > 4


def test_matrices_of_layers_take_muon_and_everything_else_adamw_in_every_bit() -> None:
    model, ours = given(use_muon=True, weight_decay=0.1, adam_beta2=0.95, adam_epsilon=1e-6)
    twin = tiny_model(num_hidden_layers=4)
    names = {name for name, p in twin.named_parameters() if p.ndim == 2 and "layers" in name}
    assert len(names) == 4 * 7
    found = dict(twin.named_parameters())
    adam = torch.optim.AdamW(
        [
            {"params": [found["model.embed_tokens.weight"]], "weight_decay": 0.1},
            {"params": [p for name, p in found.items() if "norm" in name], "weight_decay": 0.0},
        ],
        lr=1e-2, betas=(0.9, 0.95), eps=1e-6, foreach=False,
    )  # fmt: skip
    for number in range(3):
        backward(model, number)
        for name, p in model.named_parameters():
            found[name].grad = p.grad.clone()
        ours.step()
        adam.step()
        for name, p in model.named_parameters():
            if name not in names:
                assert torch.equal(p, found[name]), name
    states = {name: set(ours.state[p]) for name, p in model.named_parameters()}
    assert {name for name, keys in states.items() if keys == {"momentum_buffer"}} == names
    assert {id(p) for group in ours.param_groups for p in group["params"]} == {id(p) for p in model.parameters()}


def test_the_schedule_moves_every_group() -> None:
    model, ours = given(use_muon=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(ours, lambda step: 0.0)
    before = [p.detach().clone() for p in model.parameters()]
    backward(model, 0)
    ours.step()
    schedule.step()
    assert all(group["lr"] == 0.0 for group in ours.param_groups)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
