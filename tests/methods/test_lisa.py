"""LISA: embedding, head and exactly the drawn layers learn, states of the others are gone, and it resumes exactly."""

from __future__ import annotations

import copy
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.given import start
from tests.methods.cycle import learns_and_reloads, resumes_exactly
from tests.methods.own import backward, given, moved, values
from tests.tiny import tiny_model
from tuitune.engine.run import run
from tuitune.methods.lisa import turns

LISA: dict[str, Any] = {"finetuning_type": "full", "use_lisa": True, "lisa_interval": 3}


def test_learns_and_reloads(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    learns_and_reloads(root, monkeypatch, **LISA)


# Stops before, at and after a change of layers.
@pytest.mark.parametrize(("bf16", "stops"), [(False, (2, 3)), (True, (4, 6))])
def test_resumes_exactly(root: Path, bf16: bool, stops: tuple[int, ...]) -> None:
    resumes_exactly(root, **LISA, pure_bf16=bf16, weight_decay=0.1, stops=stops)


def _layers(names: Any) -> set[int]:
    return {int(name.split(".")[2]) for name in names if ".layers." in name}


def test_exactly_the_drawn_layers_and_what_stands_outside_move() -> None:
    model, ours = given(tiny_model(num_hidden_layers=6, tie_word_embeddings=False), **LISA)
    seen = []
    for number in range(12):
        before, drawn = values(model), set(ours.active)
        backward(model, number)
        assert {n for n, p in model.named_parameters() if p.grad is not None} == {
            n for n in before if ".layers." not in n or _layers([n]) <= drawn
        }
        ours.step()
        found = moved(before, model)
        assert _layers(found) == drawn
        assert len(drawn) == 2
        assert {"model.embed_tokens.weight", "model.norm.weight", "lm_head.weight"} <= found.keys()
        seen.append(drawn)
    assert all(seen[i] == seen[i - i % 3] for i in range(12))
    assert len({frozenset(drawn) for drawn in seen}) > 1


def test_states_are_those_of_the_layers_that_learn() -> None:
    model, ours = given(layers=6, **LISA)
    names = {p: name for name, p in model.named_parameters()}
    kept = 0
    for number in range(30):
        former = set(ours.active)
        backward(model, number)
        ours.step()
        assert _layers(names[p] for p in ours.state) == former & set(ours.active)
        kept += bool(former & set(ours.active)) and former != set(ours.active)
        steps = {ours.state[p]["step"] for p in ours.state if ".layers." not in names[p]}
        assert steps == {number + 1}
    assert kept  # a layer drawn twice in a row


def test_draws_are_fair_and_those_of_the_seed() -> None:
    draw = turns(5, 2, seed=7)
    counts = Counter(layer for turn in range(400) for layer in draw(turn))
    assert all(120 <= counts[layer] <= 200 for layer in range(5)), counts
    assert all(len(set(draw(turn))) == 2 for turn in range(50))
    assert [draw(t) for t in range(9)] == [turns(5, 2, seed=7)(t) for t in range(9)]
    assert [draw(t) for t in range(9)] != [turns(5, 2, seed=8)(t) for t in range(9)]


def test_a_step_is_torchs_adamw_in_every_bit() -> None:
    model, ours = given(**LISA | {"lisa_activated_layers": 4}, weight_decay=0.1)
    twin = copy.deepcopy(model)
    norms = [p for name, p in twin.named_parameters() if "norm" in name]
    rest = [p for name, p in twin.named_parameters() if "norm" not in name]
    adam = torch.optim.AdamW(
        [{"params": rest, "weight_decay": 0.1}, {"params": norms, "weight_decay": 0.0}], lr=1e-2, foreach=False
    )
    for number in range(5):
        backward(model, number)
        backward(twin, number)
        ours.step()
        adam.step()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))


def test_more_layers_than_there_are_is_an_error_in_words(root: Path) -> None:
    ended = run(start(root, "many", **LISA, lisa_activated_layers=5))
    assert ended.status == "failed"
    assert "5 are more than the 4 layers" in ended.message
