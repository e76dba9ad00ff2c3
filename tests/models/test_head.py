"""The sliced head and loss against F.cross_entropy, and when the head may be tapped at all."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.tiny import tiny_model
from tuitune.models import head_loss as room
from tuitune.models.head import HeadTap
from tuitune.models.head_loss import head_loss


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("slice_bytes", [1, 10**9], ids=["many slices", "one slice"])
def test_loss_and_all_gradients_are_those_of_cross_entropy(
    bias: bool, slice_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(room._SLICE_BYTES, "cpu", slice_bytes)
    torch.manual_seed(0)
    linear = nn.Linear(24, 301, bias=bias).double()
    hidden = torch.randn(70, 24, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(0, 301, (70,))
    truth = F.cross_entropy(linear(hidden), targets, reduction="sum") / 7
    wanted = torch.autograd.grad(truth, [hidden, *linear.parameters()])
    scored = head_loss(hidden, linear, targets)
    got = torch.autograd.grad(scored.loss / 7, [hidden, *linear.parameters()])
    assert abs(scored.loss.item() / 7 - truth.item()) < 1e-10
    for a, b in zip(got, wanted, strict=True):
        assert (a - b).abs().max() < 1e-12
    assert int(scored.correct) == int((linear(hidden).argmax(-1) == targets).sum())


def test_half_precision_products_keep_a_loss_near_the_fp32_one() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(64, 300, bias=False)
    hidden, targets = torch.randn(40, 64, requires_grad=True), torch.randint(0, 300, (40,))
    truth = head_loss(hidden, linear, targets)
    half = head_loss(hidden, linear, targets, torch.bfloat16)
    assert half.loss.dtype == torch.float32
    assert abs(half.loss - truth.loss) / truth.loss < 5e-3
    half.loss.backward()
    assert hidden.grad is not None
    assert hidden.grad.dtype == torch.float32


def test_a_tapped_model_gives_hidden_states_inside_and_logits_outside() -> None:
    model = tiny_model()
    ids = torch.arange(3, 9)[None]
    before = model(input_ids=ids).logits
    tap = HeadTap.on(model)
    assert tap is not None
    with tap.opened():
        assert model(input_ids=ids).logits.shape == (1, 6, 64)
    assert torch.equal(model(input_ids=ids).logits, before)


def test_a_head_that_does_more_than_a_product_is_left_alone() -> None:
    model = tiny_model()
    plain = model.forward

    def capped(*args: object, **kwargs: object) -> object:
        out = plain(*args, **kwargs)
        out.logits = torch.tanh(out.logits)
        return out

    model.forward = capped
    assert HeadTap.on(model) is None
    assert "forward" not in vars(model.get_output_embeddings())
