"""BAdam: the named block moves and nothing else, in each order; the exact share moves; states come and go; resumes."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import FalconConfig, FalconForCausalLM, GPT2Config, GPT2LMHeadModel

from tests.engine.given import journal, start
from tests.methods.cycle import learns_and_reloads, mainly, resumes_exactly, train
from tests.methods.own import backward, given, moved, values
from tests.tiny import tiny_model
from tuitune.engine.checkpoint import finite
from tuitune.engine.run import run
from tuitune.methods.badam import turns
from tuitune.methods.blockwise import blocks_of
from tuitune.recipe import Recipe
from tuitune.run import events

BADAM: dict[str, Any] = {"finetuning_type": "full", "use_badam": True, "badam_switch_interval": 2}
RATIO: dict[str, Any] = BADAM | {"badam_mode": "ratio", "badam_update_ratio": 0.1}
ORDERS: dict[str, list[int]] = {"ascending": [0, 1, 2, 3, 0, 1], "descending": [3, 2, 1, 0, 3, 2], "fixed": [0] * 6}

CASES: dict[str, dict[str, Any]] = {
    "ascending": BADAM,
    "descending from 1": BADAM | {"badam_switch_mode": "descending", "badam_start_block": 1, "weight_decay": 0.1},
    "random bf16": BADAM | {"badam_switch_mode": "random", "pure_bf16": True},
    "fixed": BADAM | {"badam_switch_mode": "fixed", "badam_start_block": 2},
    "never": BADAM | {"badam_switch_interval": -1, "gradient_checkpointing": True},
    "adjacent": RATIO | {"weight_decay": 0.1},
    "scatter bf16": RATIO | {"badam_mask_mode": "scatter", "pure_bf16": True},
}


@pytest.mark.parametrize("case", CASES)
def test_learns_and_reloads(root: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    # The chat computes weights of bf16 in fp32 on a CPU.
    learns_and_reloads(root, monkeypatch, within=0.02 if "bf16" in case else 1e-5, **CASES[case])


# Stops before, at and after a change of blocks.
@pytest.mark.parametrize("case", mainly(CASES, "random bf16", "never", "scatter bf16"))
def test_resumes_exactly(root: Path, case: str) -> None:
    resumes_exactly(root, **CASES[case], stops=(3, 4, 5))


# By layer


def _layers(names: Any) -> set[int]:
    return {int(name.split(".")[2]) for name in names}


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("order", ORDERS)
def test_exactly_the_named_block_moves_in_each_interval(order: str, tied: bool) -> None:
    model, ours = given(tiny_model(num_hidden_layers=4, tie_word_embeddings=tied), **BADAM, badam_switch_mode=order)
    names = {p: name for name, p in model.named_parameters()}
    for number in range(12):
        block = ORDERS[order][number // 2]
        assert ours.active == [block]
        learning = {name for name in names.values() if f".layers.{block}." in name}
        before = values(model)
        backward(model, number)
        assert {name for p, name in names.items() if p.requires_grad} == learning
        assert {name for p, name in names.items() if p.grad is not None} == learning
        ours.step()
        assert moved(before, model).keys() == learning
        assert {names[p] for p in ours.state} == (learning if block == ours.active[0] else set())


def test_at_random_every_block_has_its_turn_before_any_comes_again() -> None:
    for seed in range(20):
        draw = turns("random", 5, None, seed)
        seen = [draw(turn)[0] for turn in range(30)]
        assert all(sorted(seen[i : i + 5]) == list(range(5)) for i in range(0, 30, 5))
        assert all(a != b for a, b in pairwise(seen))
    assert {turns("random", 5, None, seed)(0) for seed in range(20)} == {(i,) for i in range(5)}
    assert turns("random", 5, 3, 0)(0) == (3,)
    assert turns("random", 1, None, 0)(7) == (0,)


def test_start_block_begins_every_order() -> None:
    assert [turns("ascending", 4, 2, 0)(t)[0] for t in range(4)] == [2, 3, 0, 1]
    assert [turns("descending", 4, 2, 0)(t)[0] for t in range(4)] == [2, 1, 0, 3]
    assert [turns("fixed", 4, 2, 0)(t)[0] for t in range(3)] == [2, 2, 2]


def test_each_turn_is_a_new_adamw_in_every_bit() -> None:
    settings = {"weight_decay": 0.1, "adam_beta1": 0.8, "adam_beta2": 0.95, "adam_epsilon": 1e-6}
    model, ours = given(**BADAM, **settings)
    twin = tiny_model(num_hidden_layers=4)
    for number in range(8):
        block = dict(twin.model.layers[number // 2].named_parameters())
        if number % 2 == 0:
            adam = torch.optim.AdamW(
                [
                    {"params": [p for n, p in block.items() if "norm" not in n], "weight_decay": 0.1},
                    {"params": [p for n, p in block.items() if "norm" in n], "weight_decay": 0.0},
                ],
                lr=1e-2, betas=(0.8, 0.95), eps=1e-6, foreach=False,
            )  # fmt: skip
        for group in (*ours.param_groups, *adam.param_groups):
            group["lr"] = 1e-2 / (number + 1)
        backward(model, number)
        backward(twin, number)
        ours.step()
        adam.step()
        assert all(torch.equal(a, b) for a, b in zip(model.parameters(), twin.parameters(), strict=True))


def test_bf16_weights_have_a_copy_in_fp32_while_they_learn() -> None:
    model, ours = given(**BADAM, pure_bf16=True, learning_rate=1e-3)
    exact = {name: p.double() for name, p in values(model).items() if ".layers.0." in name}
    m, v = ({name: torch.zeros_like(p) for name, p in exact.items()} for _ in range(2))
    for t in (1, 2):
        backward(model, t)
        for name, w in exact.items():
            g = model.get_parameter(name).grad
            assert g.dtype == torch.bfloat16
            m[name].lerp_(g.double(), 0.1)
            v[name].lerp_(g.double() ** 2, 0.001)
            w -= 1e-3 * (m[name] / (1 - 0.9**t)) / ((v[name] / (1 - 0.999**t)).sqrt() + 1e-8)
        if t == 1:
            ours.step()
            masters = {name: ours.state[model.get_parameter(name)]["master"] for name in exact}
            assert all(master.dtype == torch.float32 for master in masters.values())
            assert all((masters[name].double() - w).abs().max() < 1e-6 for name, w in exact.items())
    ours.step()  # ends the turn
    assert not ours.state
    for name, w in exact.items():
        assert ((model.get_parameter(name).detach().double() - w).abs() <= w.abs() * 2**-8).all()


def test_small_updates_of_bf16_weights_add_up() -> None:
    # Each step is a tenth of what bf16 can tell from 1: without the copy none would be seen.
    model, ours = given(**BADAM | {"badam_switch_interval": -1}, pure_bf16=True, learning_rate=2e-4)
    norm = model.model.layers[0].input_layernorm.weight
    for _ in range(40):
        norm.grad = torch.ones_like(norm)
        ours.step()
    assert abs(float(norm.detach().float().mean()) - (1 - 40 * 2e-4)) < 4e-3
    assert float(norm.detach()[0]) != 1.0


@pytest.mark.parametrize("family", ["gpt2", "falcon"])
def test_blocks_are_found_in_any_family(family: str) -> None:
    sizes = {"vocab_size": 512, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4}
    model: Any = (
        GPT2LMHeadModel(GPT2Config(n_positions=64, **sizes))
        if family == "gpt2"
        else FalconForCausalLM(FalconConfig(**sizes))
    )
    assert [block.name for block in blocks_of(model)] == [f"transformer.h.{i}" for i in range(3)]
    model, ours = given(model, **BADAM)
    for number, block in enumerate([0, 0, 1, 1, 2, 2]):
        before = values(model)
        backward(model, number)
        ours.step()
        assert _layers(moved(before, model)) == {block}


def _said(root: Path, verbose: int, **more: Any) -> list[str]:
    made = train(root, f"verbose{verbose}", badam_verbose=verbose, **more)
    return [note.text for note in journal(made, events.Noted) if "layers." in note.text or "learning" in note.text]


def test_what_the_log_says(root: Path) -> None:
    nothing, blocks, tensors = (_said(root, verbose, max_steps=5, **BADAM) for verbose in (0, 1, 2))
    assert not nothing
    assert blocks == [
        "learning from step 1 to 2: model.layers.0", "learning from step 3 to 4: model.layers.1",
        "learning from step 5 to 6: model.layers.2",
    ]  # fmt: skip
    assert tensors[::2] == blocks
    assert "model.layers.0.self_attn.q_proj.weight 64x64" in tensors[1]


def test_a_start_block_out_of_range_is_an_error_in_words(root: Path) -> None:
    ended = run(start(root, "far", **BADAM, badam_start_block=4))
    assert ended.status == "failed"
    assert "this model has 4 layers" in ended.message
    assert "0 to 3" in ended.hint


def test_a_block_whose_turn_is_over_is_still_looked_at() -> None:
    model, _ = given(**BADAM)
    recipe = Recipe(**BADAM)
    assert finite(model, recipe)
    frozen = model.model.layers[3].mlp.up_proj.weight
    assert not frozen.requires_grad
    frozen.data[0, 0] = float("nan")
    assert not finite(model, recipe)


# By ratio


def _share(p: torch.Tensor, ratio: float) -> int:
    return max(1, round(p.numel() * ratio)) if p.ndim == 2 else p.numel()


@pytest.mark.parametrize("mask", ["adjacent", "scatter"])
@pytest.mark.parametrize("ratio", [0.1, 1e-4, 0.3, 1.0])
def test_exactly_the_share_of_each_matrix_moves(mask: str, ratio: float) -> None:
    model, ours = given(**RATIO | {"badam_mask_mode": mask, "badam_update_ratio": ratio})
    names = {name for name, _ in model.named_parameters()} - {"model.embed_tokens.weight"}
    for number in range(4):
        before = values(model)
        for p in model.parameters():
            p.grad = torch.randn(p.shape, generator=torch.Generator().manual_seed(number))
        ours.step()
        found = moved(before, model)
        assert found == {name: _share(p, ratio) for name, p in model.named_parameters() if name in names}
        for p in ours.state:
            assert ours.state[p]["exp_avg"].numel() == ours.state[p]["exp_avg_sq"].numel() == _share(p, ratio)


def _where(before: dict[str, torch.Tensor], model: Any, name: str) -> set[int]:
    changed = model.get_parameter(name).detach() != before[name]
    return set(changed.flatten().nonzero().flatten().tolist())


@pytest.mark.parametrize("mask", ["adjacent", "scatter"])
def test_masks_move_on_and_no_entry_comes_again_before_all_have_learnt(mask: str) -> None:
    model, ours = given(**RATIO | {"badam_mask_mode": mask, "badam_update_ratio": 0.125})
    name, seen = "model.layers.1.mlp.up_proj.weight", []
    for _ in range(18):
        before = values(model)
        for p in model.parameters():
            p.grad = torch.ones_like(p)
        ours.step()
        seen.append(_where(before, model, name))
    assert all(seen[i] == seen[i + 1] for i in range(0, 18, 2))
    assert set.union(*seen[:16]) == set(range(64 * 128))
    assert seen[16] == seen[0]
    lies_together = seen[2] == set(range(min(seen[2]), max(seen[2]) + 1))
    assert lies_together == (mask == "adjacent")
    assert [ours.state[p]["step"] for p in ours.state if p.ndim == 2] == [2] * 28
    assert {ours.state[p]["step"] for p in ours.state if p.ndim == 1} == {18}


@pytest.mark.parametrize("mask", ["adjacent", "scatter"])
def test_the_share_moves_as_adamw_would_move_it(mask: str) -> None:
    model, ours = given(**RATIO | {"badam_mask_mode": mask}, weight_decay=0.1, max_grad_norm=0.5)
    twin = tiny_model(num_hidden_layers=4)
    decayed = [p for name, p in twin.named_parameters() if "norm" not in name]
    norms = [p for name, p in twin.named_parameters() if "norm" in name]
    adam = torch.optim.AdamW(
        [{"params": decayed, "weight_decay": 0.1}, {"params": norms, "weight_decay": 0.0}], lr=1e-2, foreach=False
    )
    before = values(model)
    for number in range(2):
        draw = torch.Generator().manual_seed(number)
        for mine, theirs in zip(model.parameters(), twin.parameters(), strict=True):
            theirs.grad = torch.randn(mine.shape, generator=draw)
            mine.grad = theirs.grad.clone() if mine.requires_grad else None
        ours.step()
        adam.step()
    for name, p in model.named_parameters():
        changed = p.detach() != before[name]
        assert torch.equal(p.detach()[changed], twin.get_parameter(name).detach()[changed])
        assert torch.equal(p.detach()[~changed], before[name][~changed])


def test_clipping_sees_whole_gradients() -> None:
    model, _ = given(**RATIO)
    twin = tiny_model(num_hidden_layers=4)
    twin.model.embed_tokens.weight.requires_grad_(False)
    backward(model, 0)
    backward(twin, 0)
    ours = torch.nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    assert torch.equal(ours, torch.nn.utils.clip_grad_norm_(twin.parameters(), 0.5))


def test_what_the_log_says_of_shares(root: Path) -> None:
    assert _said(root, 1, max_steps=4, **RATIO) == [
        "learning from step 1 on: 14,748 of 147,456 entries (adjacent)",
        "learning from step 3 on: 14,748 of 147,456 entries (adjacent)",
    ]
    assert "model.layers.0.self_attn.q_proj.weight 410 of 4,096" in _said(root, 2, max_steps=4, **RATIO)[1]
