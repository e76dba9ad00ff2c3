"""Log probabilities of tokens without a table of logits: values, entropy and every gradient against autograd."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tuitune.models import head_loss as room
from tuitune.models.logprobs import plain_scores, token_scores


def made(bias: bool, dtype: torch.dtype = torch.float64) -> tuple[torch.Tensor, nn.Linear, torch.Tensor]:
    torch.manual_seed(0)
    linear = nn.Linear(24, 101, bias=bias).to(dtype)
    hidden = (2 * torch.randn(70, 24)).to(dtype).requires_grad_()
    return hidden, linear, torch.randint(0, 101, (70,))


@pytest.mark.parametrize("slice_bytes", [1, 10**9], ids=["many slices", "one slice"])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
@pytest.mark.parametrize("bias", [False, True])
def test_values_and_gradients_are_those_of_autograd_in_float64(
    bias: bool, temperature: float, slice_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(room._SLICE_BYTES, "cpu", slice_bytes)
    hidden, linear, targets = made(bias)
    logp = (linear(hidden) / temperature).log_softmax(-1)
    wanted = logp[torch.arange(70), targets]
    weights = torch.randn(70, dtype=torch.float64)  # of no sign and no size in common
    learning = [hidden, *linear.parameters()]
    gradients = torch.autograd.grad((wanted * weights).sum(), learning)
    for entropy in (True, False):
        sliced = token_scores(hidden, linear, targets, temperature=temperature, entropy=entropy)
        plain = plain_scores(linear(hidden), targets, temperature, entropy=entropy)
        for mine in (sliced, plain):
            assert (mine.values - wanted).abs().max() < 1e-12
            assert torch.equal(mine.correct, logp.argmax(-1) == targets)
            spread = -(logp.exp() * logp).sum(-1)
            assert (mine.entropy - spread).abs().max() < 1e-12 if entropy else mine.entropy.shape == (0,)
            assert not mine.entropy.requires_grad
            for a, b in zip(torch.autograd.grad((mine.values * weights).sum(), learning), gradients, strict=True):
                assert (a - b).abs().max() < 1e-12


@pytest.mark.parametrize("learns", ["hidden", "weight", "bias"])
def test_only_what_learns_gets_a_gradient(learns: str) -> None:
    hidden, linear, targets = made(True)
    parts = {"hidden": hidden, "weight": linear.weight, "bias": linear.bias}
    wanted = torch.autograd.grad(linear(hidden).log_softmax(-1)[torch.arange(70), targets].sum(), parts[learns])[0]
    for name, part in parts.items():
        part.requires_grad_(name == learns)
    token_scores(hidden, linear, targets).values.sum().backward()
    for name, part in parts.items():
        assert (part.grad is not None) == (name == learns)
    assert (parts[learns].grad - wanted).abs().max() < 1e-12


def test_without_gradients_nothing_is_kept_and_the_values_are_the_same() -> None:
    hidden, linear, targets = made(True)
    with torch.no_grad():
        silent = token_scores(hidden, linear, targets)
    learning = token_scores(hidden, linear, targets)
    assert not silent.values.requires_grad
    assert torch.equal(silent.values, learning.values.detach())
    assert torch.equal(silent.entropy, learning.entropy)


def test_nothing_as_large_as_the_logits_is_kept_for_the_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(room._SLICE_BYTES, "cpu", 1)
    linear, hidden = nn.Linear(8, 400), torch.randn(300, 8, requires_grad=True)
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        token_scores(hidden, linear, torch.randint(0, 400, (300,)))
    assert kept
    assert max(kept) < 300 * 400


def test_half_precision_products_stay_near_the_truth_and_are_summed_in_fp32() -> None:
    hidden, linear, targets = made(False, torch.float32)
    truth = token_scores(hidden, linear, targets)
    low = token_scores(hidden, linear, targets, torch.bfloat16)
    assert low.values.dtype == torch.float32
    assert (low.values - truth.values).abs().max() < 0.1
    a, b = (torch.autograd.grad(s.values.sum(), [hidden, linear.weight]) for s in (low, truth))
    for mine, wanted in zip(a, b, strict=True):
        assert mine.dtype == wanted.dtype
        assert (mine - wanted).norm() / wanted.norm() < 2e-2


def test_no_tokens_at_all_are_no_error() -> None:
    _, linear, _ = made(True, torch.float32)
    none = token_scores(torch.zeros(0, 24, requires_grad=True), linear, torch.zeros(0, dtype=torch.long))
    none.values.sum().backward()
    assert none.values.shape == none.entropy.shape == (0,)
