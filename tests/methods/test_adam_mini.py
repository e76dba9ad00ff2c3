"""Adam-mini: the paper's rule in float64 step for step, in every kind of block, and exact resumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from tests.methods.cycle import learns_and_reloads, mainly, resumes_exactly
from tests.methods.own import backward, given
from tests.tiny import tiny_model

CASES: dict[str, dict[str, Any]] = {
    "full": {"finetuning_type": "full", "use_adam_mini": True},
    "bf16": {"finetuning_type": "full", "use_adam_mini": True, "pure_bf16": True},
    "freeze": {"finetuning_type": "freeze", "freeze_trainable_layers": 2, "use_adam_mini": True},
}


@pytest.mark.parametrize("case", CASES)
def test_learns_and_reloads(root: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    within = 0.02 if case == "bf16" else 1e-5  # the chat computes bf16 weights in fp32 on a CPU
    learns_and_reloads(root, monkeypatch, within=within, **CASES[case])


@pytest.mark.parametrize("case", mainly(CASES, "full", "bf16"))
def test_resumes_exactly(root: Path, case: str) -> None:
    resumes_exactly(root, **CASES[case], weight_decay=0.1)


class Rule:
    """Algorithms 1 to 3 of arXiv 2406.16793 in float64, for a model of 4 heads and 2 key-value heads of 16 each."""

    def __init__(self, name: str, weight: torch.Tensor, *, lr: float, decay: float) -> None:
        self.name, self.w, self.lr = name, weight.detach().double().clone(), lr
        self.decay = 0.0 if "norm" in name else decay
        self.m, self.v, self.t = torch.zeros_like(self.w), torch.zeros_like(self.w), 0

    def mean(self, square: torch.Tensor) -> torch.Tensor:
        """Replace every entry by the mean of its block."""
        if "q_proj" in self.name or "k_proj" in self.name:
            heads = square.shape[0] // 16
            return (
                square.view(heads, -1).mean(1, keepdim=True).expand(heads, square.numel() // heads).reshape_as(square)
            )
        return square.mean(-1, keepdim=True).expand_as(square)  # a row, a token, or all of a vector

    def step(self, grad: torch.Tensor) -> None:
        g = grad.double()
        self.t += 1
        self.m = 0.9 * self.m + 0.1 * g
        self.v = 0.95 * self.v + 0.05 * self.mean(g * g)
        m, v = self.m / (1 - 0.9**self.t), self.v / (1 - 0.95**self.t)
        self.w = self.w - self.lr * self.decay * self.w - self.lr * m / (v.sqrt() + 1e-6)


@pytest.mark.parametrize("tied", [True, False])
def test_every_tensor_moves_by_the_papers_rule(tied: bool) -> None:
    model = tiny_model(tie_word_embeddings=tied)
    _, ours = given(model, use_adam_mini=True, weight_decay=0.1, adam_beta2=0.95, adam_epsilon=1e-6)
    rules = {name: Rule(name, p, lr=1e-2, decay=0.1) for name, p in model.named_parameters()}
    for number in range(4):
        backward(model, number)
        for name, p in model.named_parameters():
            rules[name].step(p.grad)
        ours.step()
    for name, p in model.named_parameters():
        assert (p.detach().double() - rules[name].w).abs().max() < 1e-5, name


def test_second_moments_are_one_number_for_each_block() -> None:
    model, ours = given(tiny_model(), use_adam_mini=True)
    backward(model, 0)
    ours.step()
    count = {name: ours.state[p]["exp_avg_sq"].numel() for name, p in model.named_parameters()}
    layer = {name.removeprefix("model.layers.0."): n for name, n in count.items() if "layers.0" in name}
    assert layer == {
        "self_attn.q_proj.weight": 4, "self_attn.k_proj.weight": 2, "self_attn.v_proj.weight": 32,
        "self_attn.o_proj.weight": 64, "mlp.gate_proj.weight": 128, "mlp.up_proj.weight": 128,
        "mlp.down_proj.weight": 64, "input_layernorm.weight": 1, "post_attention_layernorm.weight": 1,
    }  # fmt: skip
    assert count["model.embed_tokens.weight"] == 512
    assert count["model.norm.weight"] == 1
    assert sum(count.values()) < 0.02 * sum(p.numel() for p in model.parameters())


def test_outputs_in_columns_have_one_number_each() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = GPT2LMHeadModel(GPT2Config(vocab_size=512, n_positions=64, n_embd=32, n_layer=1, n_head=4))
    model, ours = given(model, use_adam_mini=True, learning_rate=1e-3)
    weight = model.transformer.h[0].mlp.c_fc.weight  # (32 inputs, 128 outputs)
    before = weight.detach().double().clone()
    backward(model, 0)
    g = weight.grad.double()
    ours.step()
    expected = before - 1e-3 * g / ((g * g).mean(0, keepdim=True).sqrt() + 1e-8)
    assert (weight.detach().double() - expected).abs().max() < 1e-6
    assert ours.state[weight]["exp_avg_sq"].shape == (128, 1)


def test_rates_change_in_the_groups() -> None:
    model, ours = given(use_adam_mini=True)
    before = [p.detach().clone() for p in model.parameters()]
    for group in ours.param_groups:
        group["lr"] = 0.0
    backward(model, 0)
    ours.step()
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert ours.state[next(model.parameters())]["step"] == 1
