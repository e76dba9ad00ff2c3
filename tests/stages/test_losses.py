"""DFT, ASFT and EAFT against autograd in float64, in every way through a model, and independent of the cut."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.engine.given import recipe_text
from tests.models.test_flat import exact, rows_of  # noqa: F401  # a fixture
from tests.tiny import tiny_model
from tuitune.data import Example
from tuitune.methods.original import original
from tuitune.models import attention, paths
from tuitune.models import head_loss as room
from tuitune.models.head import HeadTap
from tuitune.models.head_loss import head_loss, plain_loss
from tuitune.models.losses import PLAIN, Anchor, Objective
from tuitune.models.reference import FrozenCopy, Itself
from tuitune.recipe import Document
from tuitune.stages.sft import Sft

OBJECTIVES = {
    "plain": PLAIN,
    "dft": Objective("dft"),
    "eaft": Objective("eaft", 1.0),
    "eaft, power 0.5": Objective("eaft", 0.5),
    "asft": Objective("asft", 0.3),
}
CPU = torch.device("cpu")


def truth(
    objective: Objective, logits: torch.Tensor, targets: torch.Tensor, reference: torch.Tensor | None
) -> torch.Tensor:
    """The definitions, token by token, from logits (N, V)."""
    total = logits.new_zeros(())
    for i, target in enumerate(targets.tolist()):
        p = logits[i].softmax(-1)
        weight = 1.0
        if objective.name in ("dft", "asft"):
            weight = float(p[target].detach())
        if objective.name == "eaft":
            top = p.topk(20).values
            top = (top / top.sum()).detach()
            weight = (-float((top * top.log()).sum()) / 3) ** objective.alpha
        total = total - weight * p[target].log()
        if objective.name == "asft":
            assert reference is not None
            q = reference[i].softmax(-1).detach()
            total = total + objective.alpha * (q * (q.log() - p.log())).sum()
    return total


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES.keys())
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("slice_bytes", [1, 10**9], ids=["many slices", "one slice"])
def test_values_and_gradients_are_those_of_the_definitions(
    objective: Objective, bias: bool, slice_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(room._SLICE_BYTES, "cpu", slice_bytes)
    torch.manual_seed(0)
    linear, other = (nn.Linear(24, 101, bias=bias).double() for _ in range(2))
    hidden, before = (2 * torch.randn(50, 24, dtype=torch.float64) for _ in range(2))
    hidden.requires_grad_()
    targets = torch.randint(0, 101, (50,))
    reference = other(before) if objective.name == "asft" else None
    wanted = truth(objective, linear(hidden), targets, reference)
    learning = [hidden, *linear.parameters()]
    gradients = torch.autograd.grad(wanted / 7, learning)
    anchors = [None]
    if reference is not None:
        anchors = [Anchor(before, other), Anchor(reference.detach(), None)]
    for anchor in anchors:
        sliced = head_loss(hidden, linear, targets, None, objective, anchor)
        plain = plain_loss(linear(hidden), targets, objective, anchor)
        with torch.no_grad():
            unlearnt = head_loss(hidden, linear, targets, None, objective, anchor)
        assert unlearnt.loss == sliced.loss
        for mine in (sliced, plain):
            assert abs(float(mine.loss.detach()) / float(wanted.detach()) - 1) < 1e-12
            for a, b in zip(torch.autograd.grad(mine.loss / 7, learning), gradients, strict=True):
                assert (a - b).abs().max() < 1e-12
    assert all(p.grad is None for p in other.parameters())


def test_a_power_of_nought_and_an_unmoved_model_are_the_simpler_losses() -> None:
    torch.manual_seed(0)
    linear = nn.Linear(24, 101).double()
    hidden, targets = torch.randn(30, 24, dtype=torch.float64), torch.randint(0, 101, (30,))
    loss = {
        name: float(head_loss(hidden, linear, targets, None, objective, anchor).loss.detach())
        for name, objective, anchor in (
            ("plain", PLAIN, None),
            ("eaft", Objective("eaft", 0.0), None),
            ("dft", Objective("dft"), None),
            ("asft", Objective("asft", 5.0), Anchor(hidden, linear)),
        )
    }
    assert loss["eaft"] == loss["plain"]
    assert math.isclose(loss["asft"], loss["dft"], rel_tol=1e-12)
    assert loss["dft"] < loss["plain"]


def test_vocabularies_smaller_than_the_entropy_s_share_work() -> None:
    linear, hidden, targets = nn.Linear(4, 7), torch.randn(5, 4), torch.randint(0, 7, (5,))
    got = head_loss(hidden, linear, targets, None, Objective("eaft", 1.0)).loss
    p = linear(hidden).softmax(-1)
    entropy = -(p * p.log()).sum(-1)
    wanted = (-p[torch.arange(5), targets].log() * entropy / 3).sum()
    assert torch.allclose(got, wanted)


def test_nothing_as_large_as_the_logits_is_kept_for_the_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(room._SLICE_BYTES, "cpu", 1)
    linear, hidden = nn.Linear(8, 400), torch.randn(300, 8, requires_grad=True)
    kept: list[int] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        anchor = Anchor(hidden.detach(), linear)
        head_loss(hidden, linear, torch.randint(0, 400, (300,)), None, Objective("asft", 0.1), anchor)
    assert kept
    assert max(kept) < 300 * 400


# Through a model


def recipe(tmp_path: Path, **more: Any) -> Any:
    return Document.parse(recipe_text(tmp_path, **more)).recipe()


LOSSES: dict[str, dict[str, Any]] = {
    "dft": {"use_dft_loss": True},
    "eaft": {"use_eaft_loss": True, "eaft_alpha": 0.7},
    "asft": {"use_asft_loss": True, "asft_alpha": 0.2},
}


def stage(tmp_path: Path, loss: str, tap: bool) -> Sft:
    made = Sft(recipe(tmp_path, **LOSSES[loss]))
    if made.needs_reference:
        copy = tiny_model(seed=1, attn_implementation="tuitune").double()
        made.reference = FrozenCopy(copy, paths.Head(HeadTap.on(copy) if tap else None, None), torch.no_grad)
    return made


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("tap", [True, False], ids=["sliced head", "own head"])
@pytest.mark.parametrize("loss", LOSSES)
def test_loss_and_gradient_do_not_depend_on_the_cut_or_the_path(loss: str, tap: bool, tmp_path: Path) -> None:
    attention.register()
    rows = [Example.of(r, m) for r, m in rows_of([30, 7, 18, 2, 41], prompt=1)]
    found = []
    for padded, parts in ((False, [rows]), (False, [rows[:2], rows[2:3], rows[3:]]), (True, [rows[1:], rows[:1]])):
        model = tiny_model(attn_implementation="sdpa" if padded else "tuitune").double().train()
        sft = stage(tmp_path, loss, tap)
        if padded and sft.reference is not None:
            sft.reference._model.set_attn_implementation("sdpa")
        head = paths.Head(HeadTap.on(model) if tap else None, None)
        path = paths.PaddedPath(head, CPU, 0) if padded else paths.FlatPath(head, CPU, share=True)
        total = torch.stack([sft.part_loss(model, part, path).loss for part in parts]).sum() / sft.items(rows)
        total.backward()
        found.append((total.detach(), torch.cat([p.grad.flatten() for p in model.parameters()])))
    for value, gradient in found[1:]:
        assert abs(value / found[0][0] - 1) < 1e-10
        assert (gradient - found[0][1]).norm() / found[0][1].norm() < 1e-9


@pytest.mark.parametrize("loss", LOSSES)
def test_evaluation_measures_plain_likelihood(loss: str, tmp_path: Path) -> None:
    attention.register()
    model = tiny_model(attn_implementation="tuitune").double()
    path = paths.FlatPath(paths.Head(HeadTap.on(model), None), CPU, share=True)
    rows = [Example.of(r, m) for r, m in rows_of([30, 7])]
    sft, plain = stage(tmp_path, loss, True), Sft()
    with torch.no_grad():
        assert sft.part_loss(model.eval(), rows, path).loss == plain.part_loss(model, rows, path).loss
        assert sft.part_loss(model.train(), rows, path).loss != plain.part_loss(model, rows, path).loss
    assert sft.items(rows) == plain.items(rows)


def test_adapters_are_off_for_the_reference_and_everything_is_as_before_afterwards() -> None:
    from peft import LoraConfig, get_peft_model

    attention.register()
    base = tiny_model(attn_implementation="tuitune")
    head, plain = paths.Head(HeadTap.on(base), None), tiny_model()
    inputs = {"input_ids": torch.arange(3, 20)[None], "use_cache": False}
    wanted = paths.Head(HeadTap.on(plain), None).rows(plain, inputs)
    config = LoraConfig(r=4, lora_dropout=0.5, target_modules="all-linear", modules_to_save=["norm"])
    model = get_peft_model(base, config).train()
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(0.1)
    model.base_model.model.model.layers[0].eval()  # a module in a mode of its own
    before = [(m.training, [p.requires_grad for p in m.parameters()]) for m in model.modules()]
    state = torch.get_rng_state()
    rows, linear = Itself(original, torch.no_grad).rows(model, head, inputs)
    assert linear is base.get_output_embeddings()
    assert torch.allclose(rows, wanted, atol=1e-6)
    assert not rows.requires_grad
    assert torch.equal(torch.get_rng_state(), state)
    assert [(m.training, [p.requires_grad for p in m.parameters()]) for m in model.modules()] == before


def test_two_losses_at_once_are_refused(tmp_path: Path) -> None:
    document = Document.parse(recipe_text(tmp_path, use_dft_loss=True, use_eaft_loss=True))
    assert any("three different losses" in p.reason for p in document.problems())
