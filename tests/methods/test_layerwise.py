"""Layerwise updates: the same rule as after a whole step, one gradient at a time, exact whatever comes in between."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.engine.given import journal, losses, same, start, weights
from tests.engine.test_live import WHO, at_parts
from tests.methods.cycle import learns_and_reloads, resumes_exactly, train
from tests.methods.own import given
from tests.methods.test_galore import paper
from tests.tiny import tiny_model
from tuitune.engine.run import run
from tuitune.engine.trainer import StepTrainer
from tuitune.errors import TrainingError
from tuitune.methods.base import StepAware
from tuitune.methods.galore import LayerwiseGaLore
from tuitune.run import events
from tuitune.run.inbox import Continue, Generate, Inbox, Pause, Save, SetLearningRate, Stop

GALORE: dict[str, Any] = {
    "finetuning_type": "full", "use_galore": True, "galore_rank": 8, "galore_update_interval": 3, "galore_scale": 1.0,
    "weight_decay": 0.01, "max_grad_norm": 0,
}  # fmt: skip
APOLLO: dict[str, Any] = {
    "finetuning_type": "full", "use_apollo": True, "apollo_rank": 8, "apollo_update_interval": 3, "apollo_scale": 4.0,
    "max_grad_norm": 0,
}  # fmt: skip
BOTH = {"galore": GALORE, "apollo": APOLLO}
ONE_PART, PARTS = {"tokens_per_batch": 4096}, {"tokens_per_batch": 60}


def layerwise(name: str) -> dict[str, Any]:
    return BOTH[name] | {f"{name}_layerwise": True}


def backward(model: Any, number: int) -> None:
    ids = torch.randint(0, 512, (2, 24), generator=torch.Generator().manual_seed(number))
    model(input_ids=ids, labels=ids).loss.backward()


def step(model: Any, optimizer: Any, parts: list[int]) -> None:
    for i, number in enumerate(parts):
        if isinstance(optimizer, StepAware):
            optimizer.begin_part(last=i == len(parts) - 1)
        backward(model, number)
    if isinstance(optimizer, StepAware):
        optimizer.norm = optimizer.grad_norm()
    optimizer.step()
    optimizer.zero_grad()


# The rule


@pytest.mark.parametrize("name", BOTH)
def test_without_parts_a_run_is_the_plain_one_in_every_bit(root: Path, name: str) -> None:
    plain, inside = train(root, "plain", **BOTH[name], **ONE_PART), train(root, "inside", **layerwise(name), **ONE_PART)
    assert same(weights(plain.final), weights(inside.final))
    for (loss, norm), (other, measured) in zip(losses(plain).values(), losses(inside).values(), strict=True):
        assert loss == other
        assert measured == pytest.approx(norm, rel=1e-5)


@pytest.mark.parametrize("more", [{"bf16": True}, {"pure_bf16": True}, {"gradient_checkpointing": True}])
def test_that_holds_in_bf16_and_with_recomputation(root: Path, more: dict[str, Any]) -> None:
    more = ONE_PART | {"max_steps": 5} | more
    plain = train(root, "plain", **GALORE, **more)
    assert same(weights(plain.final), weights(train(root, "inside", **layerwise("galore"), **more).final))


def test_apollo_with_parts_is_the_plain_one_and_says_what_that_costs(root: Path) -> None:
    plain, inside = train(root, "plain", **APOLLO, **PARTS), train(root, "inside", **layerwise("apollo"), **PARTS)
    assert same(weights(plain.final), weights(inside.final))
    said = [e.text for e in journal(inside, events.Noted) if "adds up whole gradients" in e.text]
    assert len(said) == 1


def test_the_sum_of_projected_parts_in_float64() -> None:
    """Where the first part made the projection, the others go through the same one."""
    shape, parts = (12, 7), 3
    draw = torch.Generator().manual_seed(4)
    before = torch.randn(shape, generator=draw)
    made = [[torch.randn(shape, generator=draw) for _ in range(parts)] for _ in range(4)]
    layer = nn.Linear(7, 12, bias=False)
    layer.weight.data = before.clone()
    optimizer = LayerwiseGaLore(
        [{"params": [layer.weight], "projected": True, "eight_bit": False}], rank=4, interval=3, scale=0.25, kind="std",
        lr=0.05, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0,
    )  # fmt: skip
    for grads in made:
        for i, grad in enumerate(grads):
            optimizer.begin_part(last=i == parts - 1)
            (layer.weight * grad).sum().backward()
        optimizer.step()
    sums = [sum(grads[1:], grads[0]) for grads in made]
    expected = paper(before, sums, "std", eps=1e-8, decay=0.0, bases={0: made[0][0], 3: made[3][0]})[-1]
    torch.testing.assert_close(layer.weight.detach().double(), expected, rtol=1e-5, atol=2e-6)


def test_the_norm_of_several_parts() -> None:
    """Exact where the subspace is whole; else what is outside of it counts as if the parts were independent there."""
    norms = {}
    for rank in (4, 64):
        model, optimizer = given(**GALORE | {"galore_layerwise": True, "galore_rank": rank})
        step(model, optimizer, [1, 2])
        norms[rank] = float(optimizer.norm)
    plain = tiny_model(num_hidden_layers=4)
    backward(plain, 1)
    backward(plain, 2)
    whole = float(torch.stack([p.grad.norm() for p in plain.parameters()]).norm())
    assert norms[64] == pytest.approx(whole, rel=1e-4)
    assert norms[4] == pytest.approx(whole, rel=0.3)


def test_each_weight_is_clipped_alone() -> None:
    """Without moments and with a large epsilon the update is the gradient: its length shows the limit."""
    limit = 0.05
    even = {"adam_beta1": 0.0, "adam_beta2": 0.0, "adam_epsilon": 1e3, "learning_rate": 1e3, "weight_decay": 0.0}
    free, freely = given(**GALORE | even | {"galore_layerwise": True, "galore_rank": 64})
    held, tightly = given(**GALORE | even | {"galore_layerwise": True, "galore_rank": 64, "layerwise_clip": limit})
    before = {name: p.detach().clone() for name, p in free.named_parameters()}
    step(free, freely, [1])
    step(held, tightly, [1])
    assert float(tightly.norm) == float(freely.norm)  # what is logged is the norm before
    clipped = 0
    for (name, a), b in zip(free.named_parameters(), held.parameters(), strict=True):
        a, b = a.detach(), b.detach()
        long, short = float((a - before[name]).norm()), float((b - before[name]).norm())
        clipped += long > limit
        assert short == pytest.approx(min(long, limit), rel=0.02, abs=1e-5)
    assert 0 < clipped < len(before)


# Its memory


def test_one_gradient_at_a_time_and_projected_sums() -> None:
    model = tiny_model(num_hidden_layers=4, tie_word_embeddings=False)
    alive: list[list[str]] = []
    names = {p: name for name, p in model.named_parameters()}
    for p in model.parameters():  # before the optimizer's own, so that the gradient is still there
        p.register_post_accumulate_grad_hook(
            lambda _: alive.append([name for each, name in names.items() if each.grad is not None])
        )
    model, optimizer = given(model, **GALORE | {"galore_layerwise": True})
    step(model, optimizer, [1])
    assert len(alive) == len(names)
    assert all(len(some) == 1 for some in alive)
    assert not optimizer.held
    # With a part before: whole sums of what is not projected, and of each matrix a sum of its rank.
    optimizer.begin_part(last=False)
    backward(model, 2)
    whole = {name for p, name in names.items() if p.grad is not None}
    assert whole == {name for name in names.values() if "_proj" not in name}
    assert {names[p] for p in optimizer.held} == set(names.values()) - whole
    assert all(8 in held.value.shape for held in optimizer.held.values())
    optimizer.begin_part(last=True)
    backward(model, 3)
    optimizer.step()
    assert not optimizer.held
    assert all(p.grad is None for p in model.parameters())


def test_an_optimizer_that_is_over_is_freed() -> None:
    model, optimizer = given(**layerwise("galore"))
    step(model, optimizer, [1])
    gone = weakref.ref(optimizer), weakref.ref(model)
    del optimizer, model
    gc.collect()
    assert [reference() for reference in gone] == [None, None]


def test_what_only_an_earlier_part_reached_is_updated_too() -> None:
    """An expert without a token in the last part."""
    layer, other = nn.Linear(7, 12, bias=False), nn.Linear(7, 12, bias=False)
    optimizer = LayerwiseGaLore(
        [{"params": [layer.weight, other.weight], "projected": True, "eight_bit": False}], rank=4, interval=3,
        scale=1.0, kind="std", lr=0.05, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.0,
    )  # fmt: skip
    before = layer.weight.detach().clone()
    for last, each in ((False, layer), (True, other)):
        optimizer.begin_part(last=last)
        each(torch.ones(1, 7)).square().sum().backward()
    assert optimizer.grad_norm() is not None
    optimizer.step()
    assert not torch.equal(before, layer.weight.detach())
    assert not optimizer.held


# In the engine


@pytest.mark.parametrize("name", BOTH)
def test_learns_and_reloads(root: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    learns_and_reloads(root, monkeypatch, **layerwise(name), **PARTS)


@pytest.mark.parametrize(
    "more",
    [
        {"layerwise_clip": 0.1},
        {"galore_proj_type": "full", "gradient_checkpointing": True},
        {"pure_bf16": True, "optim": "adamw_8bit", "galore_rank": 40},
    ],
)
def test_resumes_exactly(root: Path, more: dict[str, Any]) -> None:
    resumes_exactly(root, **layerwise("galore") | PARTS | more)


def test_apollo_resumes_exactly(root: Path) -> None:
    resumes_exactly(root, **layerwise("apollo"), **PARTS)


def test_stops_saves_and_answers_in_the_middle_of_a_step_change_nothing(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[int] = []
    for name in ("save_paused", "save_boundary"):
        monkeypatch.setattr(StepTrainer, name, _counting(held, getattr(StepTrainer, name)))
    more = layerwise("galore") | PARTS | {"galore_update_interval": 1}  # every step renews the projection
    whole, it = start(root, "whole", **more), start(root, "it", **more)
    run(whole)
    inbox = Inbox(it.inbox)
    ask = [lambda: inbox.send(Generate(WHO, options={"do_sample": False}))]
    pause = [lambda: inbox.send(Pause()), lambda: inbox.send(Save()), lambda: inbox.send(Continue())]
    assert run(it, on_session=at_parts(it, {5: ask, 28: pause, 44: [lambda: inbox.send(Stop())]})).status == "stopped"
    middle, last = journal(it, events.CheckpointSaved)
    assert 0 < middle.step < last.step < 10
    assert held == [28, 28]  # both were asked for when a part of a step had been done
    assert run(it).status == "finished"
    assert journal(it, events.ReplyFinished)[0].reason in ("end", "length")
    assert losses(it) == losses(whole)
    assert same(weights(it.final), weights(whole.final))
    again = start(root, "again", **more, resume_from_checkpoint=middle.path)
    run(again)
    assert same(weights(again.final), weights(whole.final))


def _counting(held: list[int], plain: Any) -> Any:
    def save(trainer: StepTrainer) -> None:
        assert isinstance(trainer.step_aware, LayerwiseGaLore)
        held.append(len(trainer.step_aware.held))
        plain(trainer)

    return save


def test_a_new_learning_rate_acts_at_once(root: Path) -> None:
    ended = []
    for name, more in (("plain", GALORE), ("inside", layerwise("galore"))):
        it = start(root, name, **more, **ONE_PART)
        run(it, on_session=at_parts(it, {5: [lambda it=it: Inbox(it.inbox).send(SetLearningRate(1e-3))]}))
        ended.append(weights(it.final))
    assert same(*ended)


def test_another_weight_decay_on_resume_acts(root: Path) -> None:
    kept = train(root, "kept", **layerwise("galore"))
    changed = train(root, "changed", stop_at=4, **layerwise("galore"))
    recipe = root / "changed" / "recipe.yaml"
    recipe.write_text(recipe.read_text().replace("weight_decay: 0.01", "weight_decay: 20.0"))
    train(root, "changed", **layerwise("galore"))
    before, after = weights(kept.final), weights(changed.final)
    for name, weight in before.items():
        shrunk = float(after[name].norm() / weight.norm())
        assert (shrunk < 0.9) == ("norm" not in name), (name, shrunk)


class Failing:
    """Runs out of memory once, in the n-th pass: in its forward, or in the backward after some weights have moved."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, *, inside: bool) -> None:
        from tuitune.stages.sft import Sft

        self.count, plain = 0, Sft.part_loss

        def part_loss(stage: Sft, model: nn.Module, *args: Any) -> Any:
            self.count += 1
            if self.count == at and not inside:
                raise torch.OutOfMemoryError("CUDA out of memory (injected)")
            if self.count == at:
                first = next(model.parameters())
                first.register_hook(_raise)  # the embedding's gradient is the last
            return plain(stage, model, *args)

        monkeypatch.setattr(Sft, "part_loss", part_loss)


def _raise(grad: Tensor) -> None:
    raise torch.OutOfMemoryError("CUDA out of memory (injected)")


def test_memory_that_runs_out_before_the_last_part_costs_nothing_but_a_smaller_cut(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = start(root, "small", **layerwise("galore"), tokens_per_batch=120)
    Failing(monkeypatch, 2, inside=False)  # in the first step, whose first part has been held
    assert run(small).status == "finished"
    assert any("out of memory" in e.message for e in journal(small, events.Warned))
    monkeypatch.undo()
    least = int(next(e.message for e in journal(small, events.Warned) if "out of memory" in e.message).split()[8])
    plain = train(root, "plain", **layerwise("galore"), tokens_per_batch=least)
    assert same(weights(small.final), weights(plain.final))


def test_memory_that_runs_out_among_the_updates_ends_in_words(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    it = start(root, **layerwise("galore"), **ONE_PART)
    Failing(monkeypatch, 3, inside=True)
    ended = run(it)
    assert ended.status == "failed"
    assert "some weights had moved" in ended.message
    assert "lower tokens_per_batch" in ended.hint


def test_weights_that_have_moved_cannot_be_discarded() -> None:
    model, optimizer = given(**layerwise("galore"))
    optimizer.begin_part(last=True)
    backward(model, 1)
    with pytest.raises(TrainingError, match="some weights had moved"):
        optimizer.discard()
    optimizer.step()
    optimizer.discard()
