"""GaLore: its update rule in float64, the authors' package, its states, its targets, and the whole cycle."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import GPT2Config, GPT2LMHeadModel, MixtralConfig, MixtralForCausalLM

from tests.methods.cycle import learns_and_reloads, mainly, resumes_exactly
from tests.tiny import tiny_model, tiny_tokenizer
from tuitune.errors import ModelError, TrainingError
from tuitune.methods.galore import GaLore
from tuitune.methods.matrices import targets

BASE: dict[str, Any] = {
    "finetuning_type": "full", "use_galore": True, "galore_rank": 8, "galore_update_interval": 3, "galore_scale": 1.0,
    "weight_decay": 0.01,
}  # fmt: skip
KINDS = ("std", "reverse_std", "right", "left", "full")
SHAPES = ((12, 7), (7, 12), (9, 9))


def made(p: nn.Parameter, kind: str, *, eight_bit: bool = False, projected: bool = True, **more: Any) -> GaLore:
    values: dict[str, Any] = {
        "rank": 4, "interval": 3, "scale": 0.25, "kind": kind, "lr": 0.05, "betas": (0.9, 0.99), "eps": 1e-8,
        "weight_decay": 0.0,
    }  # fmt: skip
    return GaLore([{"params": [p], "projected": projected, "eight_bit": eight_bit}], **values | more)


def gradients(shape: tuple[int, ...], count: int, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    draw = torch.Generator().manual_seed(1)
    return [torch.randn(shape, generator=draw).to(dtype) for _ in range(count)]


def stepped(p: nn.Parameter, optimizer: torch.optim.Optimizer, grads: list[Tensor]) -> list[Tensor]:
    seen = []
    for grad in grads:
        p.grad = grad.clone()
        optimizer.step()
        seen.append(p.detach().clone())
    return seen


def paper(
    w: Tensor, grads: list[Tensor], kind: str, *, eps: float, decay: float, bases: dict[int, Tensor] | None = None
) -> list[Tensor]:
    """Algorithm 2 of the paper in float64, its projectors made from eigenvectors; epsilon as Adam's "efficient" form
    (arXiv 1412.6980, end of section 2) has it. `bases`: other gradients to project by, by step."""
    w, beta1, beta2, lr, scale, r = w.double(), 0.9, 0.99, 0.05, 0.25, 4
    tall = w.shape[0] >= w.shape[1]
    left = {"std": not tall, "reverse_std": tall, "left": True, "right": False, "full": True}[kind]
    right = {"std": tall, "reverse_std": not tall, "left": False, "right": True, "full": True}[kind]
    p = q = torch.eye(0)
    m = v = torch.zeros((), dtype=torch.float64)
    seen = []
    for t, g in enumerate((grad.double() for grad in grads), start=1):
        if (t - 1) % 3 == 0:
            b = (bases or {}).get(t - 1, g).double()
            p = torch.linalg.eigh(b @ b.T).eigenvectors.flip(1)[:, :r] if left else torch.eye(w.shape[0]).double()
            q = torch.linalg.eigh(b.T @ b).eigenvectors.flip(1)[:, :r] if right else torch.eye(w.shape[1]).double()
            # The sign of a singular vector is free, but moments outlive it: the same choice as the decomposition's.
            u, _, vh = torch.linalg.svd(b.float(), full_matrices=False)
            p = p * (p * u[:, :r].double()).sum(0).sign() if left else p
            q = q * (q * vh[:r].T.double()).sum(0).sign() if right else q
        low = p.T @ g @ q
        m, v = beta1 * m + (1 - beta1) * low, beta2 * v + (1 - beta2) * low**2
        adam = (m / (1 - beta1**t)) / ((v / (1 - beta2**t)).sqrt() + eps / math.sqrt(1 - beta2**t))
        w = w - lr * scale * (p @ adam @ q.T)
        w = w - lr * decay * w
        seen.append(w)
    return seen


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_papers_rule_in_float64(kind: str, shape: tuple[int, int]) -> None:
    p = nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    grads = gradients(shape, 7)
    # Projected on both sides, the gradient that made the projection is diagonal but for rounding errors, of which Adam
    # would make steps of full length: only a large epsilon lets two computations of that be compared.
    eps = 0.1 if kind == "full" else 1e-8
    expected = paper(p.detach(), grads, kind, eps=eps, decay=0.1)
    found = stepped(p, made(p, kind, eps=eps, weight_decay=0.1), grads)
    for step, (a, b) in enumerate(zip(found, expected, strict=True)):
        torch.testing.assert_close(a.double(), b, rtol=1e-5, atol=2e-6, msg=lambda m, n=step: f"step {n}: {m}")


def package(w: Tensor, grads: list[Tensor], *, eps: float, decay: float) -> list[Tensor]:
    """What galore-torch 1.0 does for `std`, operation by operation (its GaLoreProjector inside its AdamW)."""
    w, beta1, beta2, lr, scale, r = w.clone(), 0.9, 0.99, 0.05, 0.25, 4
    tall, seen = w.shape[0] >= w.shape[1], []
    ortho = m = v = torch.empty(0)
    for t, g in enumerate(grads):
        if t % 3 == 0:
            u, _, vh = torch.linalg.svd(g, full_matrices=False)
            ortho = vh[:r, :] if tall else u[:, :r]
        low = torch.matmul(g, ortho.t()) if tall else torch.matmul(ortho.t(), g)
        if t == 0:
            m, v = torch.zeros_like(low), torch.zeros_like(low)
        m.mul_(beta1).add_(low, alpha=1.0 - beta1)
        v.mul_(beta2).addcmul_(low, low, value=1.0 - beta2)
        size = lr * math.sqrt(1.0 - beta2 ** (t + 1)) / (1.0 - beta1 ** (t + 1))
        normed = m / v.sqrt().add_(eps)
        back = (torch.matmul(normed, ortho) if tall else torch.matmul(ortho, normed)) * scale
        w.add_(back, alpha=-size)
        w.add_(w, alpha=-lr * decay)
        seen.append(w.clone())
    return seen


@pytest.mark.parametrize("shape", SHAPES)
def test_std_is_the_packages_to_the_last_bit(shape: tuple[int, int]) -> None:
    p = nn.Parameter(torch.randn(shape, generator=torch.Generator().manual_seed(0)))
    grads = gradients(shape, 7)
    expected = package(p.detach(), grads, eps=1e-3, decay=0.1)
    found = stepped(p, made(p, "std", eps=1e-3, weight_decay=0.1), grads)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_states_are_two_moments_and_a_projector_and_nothing_behind_them() -> None:
    p = nn.Parameter(torch.zeros(40, 16))
    optimizer = made(p, "std")
    stepped(p, optimizer, gradients((40, 16), 1))
    tensors = {name: value for name, value in optimizer.state[p].items() if isinstance(value, Tensor)}
    assert {name: tuple(value.shape) for name, value in tensors.items()} == {
        "exp_avg": (40, 4), "exp_avg_sq": (40, 4), "right": (4, 16),
    }  # fmt: skip
    # A slice of all singular vectors would keep them all, in memory and in the file.
    assert all(value.untyped_storage().nbytes() == value.nbytes for value in tensors.values())


def test_what_is_not_projected_is_torchs_adamw() -> None:
    p, q = (nn.Parameter(torch.linspace(-1, 1, 60).view(6, 10)) for _ in range(2))
    grads = gradients((6, 10), 5)
    found = stepped(p, made(p, "std", projected=False, weight_decay=0.1), grads)
    plain = torch.optim.AdamW([q], lr=0.05, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1, foreach=False)
    for a, b in zip(found, stepped(q, plain, grads), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-7)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_rank_above_the_smaller_side_changes_nothing_in_the_span(shape: tuple[int, int]) -> None:
    """With a whole basis, projecting loses nothing: without moments (betas 0) and a large epsilon it is descent."""
    p = nn.Parameter(torch.zeros(shape))
    grad = gradients(shape, 1)[0]
    (after,) = stepped(p, made(p, "reverse_std", rank=64, scale=1.0, lr=1.0, betas=(0.0, 0.0), eps=1e6), [grad])
    torch.testing.assert_close(after * 1e6, -grad, rtol=1e-3, atol=1e-3)


def test_a_stack_of_experts_is_as_many_matrices() -> None:
    start = torch.randn(3, 12, 7, generator=torch.Generator().manual_seed(0))
    stack, grads = nn.Parameter(start.clone()), gradients((3, 12, 7), 5)
    found = stepped(stack, made(stack, "std"), grads)[-1]
    for i in range(3):
        p = nn.Parameter(start[i].clone())
        alone = stepped(p, made(p, "std"), [grad[i] for grad in grads])[-1]
        torch.testing.assert_close(found[i], alone, rtol=1e-5, atol=1e-6)


def test_bf16_weights_keep_fp32_moments_and_get_them_back() -> None:
    p = nn.Parameter(torch.zeros(40, 16, dtype=torch.bfloat16))
    optimizer = made(p, "std")
    stepped(p, optimizer, gradients((40, 16), 2, torch.bfloat16))
    kinds = {name: value.dtype for name, value in optimizer.state[p].items() if isinstance(value, Tensor)}
    assert kinds == {"exp_avg": torch.float32, "exp_avg_sq": torch.float32, "right": torch.bfloat16}
    again = made(p, "std")
    again.load_state_dict(optimizer.state_dict())
    for name, value in optimizer.state[p].items():
        assert torch.equal(torch.as_tensor(again.state[p][name]), torch.as_tensor(value))
        assert getattr(again.state[p][name], "dtype", None) == getattr(value, "dtype", None)


@pytest.mark.parametrize("projected", [True, False])
def test_eight_bits_of_bitsandbytes(projected: bool) -> None:
    shape = (600, 16) if projected else (300, 16)
    p, q = (nn.Parameter(torch.zeros(shape)) for _ in range(2))
    # Gradients that agree, so that directions are large and rounding is small beside them.
    grads = [g + 3 * gradients(shape, 1)[0] for g in gradients(shape, 6)]
    small, exact = (made(each, "std", eight_bit=bits, projected=projected, rank=8) for each, bits in ((p, 1), (q, 0)))
    a, b = stepped(p, small, grads)[-1], stepped(q, exact, grads)[-1]
    assert 0 < float((a - b).norm() / b.norm()) < 0.05
    state = small.state[p]
    assert state["exp_avg"].dtype == state["exp_avg_sq"].dtype == torch.uint8
    assert state["exp_avg_scale"].numel() == math.ceil(state["exp_avg"].numel() / 256)
    tiny = nn.Parameter(torch.zeros(8, 8))
    optimizer = made(tiny, "std", eight_bit=True, projected=projected)
    stepped(tiny, optimizer, gradients((8, 8), 1))
    assert optimizer.state[tiny]["exp_avg"].dtype == torch.float32  # as bitsandbytes itself keeps small tensors


def test_a_gradient_that_is_not_finite_ends_in_words() -> None:
    p = nn.Parameter(torch.zeros(8, 8))
    with pytest.raises(TrainingError, match="not finite"):
        stepped(p, made(p, "std"), [torch.full((8, 8), float("nan"))])


# Which matrices


def names(model: nn.Module, *asked: str) -> set[str]:
    chosen = {id(p) for p in targets(model, asked, "galore_target")}
    return {name for name, p in model.named_parameters() if id(p) in chosen}


def test_targets_are_parts_of_module_names() -> None:
    model = tiny_model()
    every = names(model, "all")
    assert {name.rsplit(".", 2)[1] for name in every} == {
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    }  # fmt: skip
    assert names(model, "mlp", "self_attn") == every
    assert names(model, "1.mlp") == {f"model.layers.1.mlp.{name}_proj.weight" for name in ("gate", "up", "down")}
    model.model.layers[0].requires_grad_(False)
    assert all(".1." in name for name in names(model, "q_proj"))
    assert names(model, "lm_head") == {"model.embed_tokens.weight"}  # tied, and asked for by name


def test_targets_know_conv1d_and_experts() -> None:
    gpt = GPT2LMHeadModel(GPT2Config(vocab_size=64, n_embd=32, n_layer=1, n_head=2, n_positions=32))
    parts = {name.removeprefix("transformer.h.0.").removesuffix(".weight") for name in names(gpt, "all")}
    assert parts == {"attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"}
    mix = MixtralForCausalLM(
        MixtralConfig(
            vocab_size=64, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=4,
            num_key_value_heads=2, num_local_experts=4,
        )
    )  # fmt: skip
    assert {name.split(".experts.")[-1] for name in names(mix, "mlp")} == {"gate_up_proj", "down_proj"}


def test_an_unknown_target_lists_the_valid_ones() -> None:
    with pytest.raises(ModelError, match="galore_target: no layer of this model has 'qproj' in its name") as caught:
        targets(tiny_model(), ("mlp", "qproj"), "galore_target")
    hint = caught.value.hint
    assert all(part in hint for part in ("q_proj", "self_attn", "mlp", "lm_head", "all means"))
    assert "layers," not in hint
    frozen = tiny_model()
    frozen.model.layers.requires_grad_(False)
    with pytest.raises(ModelError, match="no layer that is trained"):
        targets(frozen, ("mlp",), "galore_target")


# The whole cycle


@pytest.mark.parametrize("kind", KINDS)
def test_learns_and_reloads(root: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    learns_and_reloads(root, monkeypatch, **BASE, galore_proj_type=kind)


def test_gpt2_keeps_its_matrices_in_columns_and_learns(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = GPT2Config(vocab_size=512, n_embd=64, n_layer=2, n_head=4, n_positions=128, eos_token_id=2)
    GPT2LMHeadModel(config).save_pretrained(root / "gpt2")
    tiny_tokenizer().save_pretrained(root / "gpt2")
    learns_and_reloads(root, monkeypatch, **BASE, model_name_or_path=str(root / "gpt2"))


def test_a_few_layers_learn_by_galore_too(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = {"finetuning_type": "freeze", "freeze_trainable_layers": 2, "galore_target": "mlp,self_attn"}
    learns_and_reloads(root, monkeypatch, **BASE | few)


@pytest.mark.parametrize("kind", mainly(KINDS, "reverse_std", "full"))
def test_resumes_exactly(root: Path, kind: str) -> None:
    resumes_exactly(root, **BASE, galore_proj_type=kind)


@pytest.mark.parametrize("more", [{"pure_bf16": True}, {"optim": "adamw_8bit", "galore_rank": 40}])
def test_resumes_exactly_in_few_bits(root: Path, more: dict[str, Any]) -> None:
    resumes_exactly(root, **BASE | more)
