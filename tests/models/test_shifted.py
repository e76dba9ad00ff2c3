"""Shifted sparse attention against masks written out for every head, and where it is active at all."""

from __future__ import annotations

import random

import pytest
import torch

from tests.models.test_flat import rows_of
from tests.tiny import tiny_model, tiny_tokenizer
from tuitune.errors import ModelError
from tuitune.models import attention, paths, shifted
from tuitune.models.flat import Layout, Span
from tuitune.models.generate import Sampling, in_evaluation, reply

HEADS = [(4, 2), (4, 4), (4, 1), (9, 3), (6, 3), (3, 1)]
GROUPS = [2, 5, 8, 100]


def mask_of(lengths: list[int], heads: int, group: int) -> torch.Tensor:
    """Who sees whom, (heads, T, T): the definition, one position at a time."""
    owner = [(i, t) for i, n in enumerate(lengths) for t in range(n)]
    seen = torch.zeros(heads, len(owner), len(owner), dtype=torch.bool)
    for h in range(heads):
        moved = 0 if h < heads // 2 else group - group // 2
        for a, (i, t) in enumerate(owner):
            for b, (j, s) in enumerate(owner):
                seen[h, a, b] = i == j and s <= t and (s + moved) // group == (t + moved) // group
    return seen


def by_mask(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    repeat = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(repeat, 1), v.repeat_interleave(repeat, 1)
    scores = (q @ k.transpose(-1, -2)) / q.shape[-1] ** 0.5
    return (scores.masked_fill(~seen, float("-inf")).softmax(-1) @ v).transpose(1, 2)


def random_qkv(heads: int, kv: int, length: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        torch.randn(1, h, length, 8, dtype=torch.float64, generator=generator).requires_grad_() for h in (heads, kv, kv)
    ]


def layout_of(lengths: list[int], group: int) -> Layout:
    ends = torch.tensor(lengths).cumsum(0).tolist()
    return Layout([Span(end - n, end) for n, end in zip(lengths, ends, strict=True)], group=group)


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize(("heads", "kv"), HEADS)
def test_every_head_sees_its_groups_and_nothing_else(heads: int, kv: int, group: int) -> None:
    lengths = [1, 17, 3, 8, 2]
    qkv = random_qkv(heads, kv, sum(lengths))
    module = torch.nn.Module().train()
    got, _ = attention.attend(module, *qkv, None, layout=layout_of(lengths, group))
    wanted = by_mask(*qkv, mask_of(lengths, heads, group))
    assert (got - wanted).abs().max() < 1e-12
    weight = torch.randn_like(wanted)
    for a, b in zip(*(torch.autograd.grad((x * weight).sum(), qkv) for x in (got, wanted)), strict=True):
        assert (a - b).abs().max() < 1e-12


def test_the_end_of_a_text_says_nothing_to_its_beginning() -> None:
    # The rolled groups of the paper put the last tokens and the first ones into one group.
    qkv = random_qkv(4, 2, 20)
    changed = [x.detach().clone() for x in qkv]
    for x in changed:
        x[:, :, 13:] += 1
    one, two = (attention.attend(torch.nn.Module(), *x, None, layout=layout_of([20], 8))[0] for x in (qkv, changed))
    assert torch.equal(one[:, :13], two[:, :13])
    assert not torch.allclose(one[:, 13:], two[:, 13:])


def test_shared_beginnings_are_refused() -> None:
    with pytest.raises(ValueError, match="share"):
        shifted.halves(Layout([Span(0, 4), Span(4, 8, (0, 4))], group=4))


def chosen(group: int, **config: object) -> tuple[torch.nn.Module, paths.Path]:
    attention.register()
    model = tiny_model(attn_implementation="tuitune", **config)
    path, why = paths.choose(model, longest=40, pad=0, dropout=False, autocast=None, group=group)
    assert not why
    return model, path


def test_it_is_active_in_training_only(monkeypatch: pytest.MonkeyPatch) -> None:
    (plain, full), (model, path) = chosen(0), chosen(8)
    calls: list[int] = []
    whole = shifted.attend
    monkeypatch.setattr(shifted, "attend", lambda *a: calls.append(1) or whole(*a))
    rows = rows_of([30, 25, 4])
    ids, labels = [r for r, _ in rows], [m for _, m in rows]
    model.train()
    trained = path.score(model, ids, labels).loss
    assert len(calls) == 2  # layers
    with in_evaluation(model), torch.no_grad():
        evaluated = path.score(model, ids, labels).loss
    reply(model, tiny_tokenizer(), ids[0], Sampling(max_new_tokens=3, seed=1), stop_ids=[2])
    assert len(calls) == 2
    with torch.no_grad():
        assert torch.equal(evaluated, full.score(plain, ids, labels).loss)
    assert abs(float(trained.detach() - evaluated)) > 1e-3


def test_neither_neighbours_nor_recomputation_change_the_gradient() -> None:
    rows = rows_of([33, 12, 7, 21])
    gradients = []
    for recompute, parts in ((False, [[0, 1, 2, 3]]), (False, [[0, 2], [1], [3]]), (True, [[0, 1], [2, 3]])):
        model, path = chosen(8)
        model.train()
        if recompute:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        losses = [path.score(model, [rows[i][0] for i in part], [rows[i][1] for i in part]).loss for part in parts]
        torch.stack(losses).sum().backward()
        gradients.append(torch.cat([p.grad.flatten() for p in model.parameters()]))
    for other in gradients[1:]:
        assert (other - gradients[0]).norm() / gradients[0].norm() < 1e-5


def test_common_beginnings_are_not_shared() -> None:
    row = [random.Random(0).randrange(3, 500) for _ in range(30)]
    for group, shared in ((0, 28), (8, 0)):
        path = chosen(group)[1]
        assert path.shared([row, [*row[:28], 7, 9]], [[-100] * 20 + row[20:]] * 2) == shared


def test_models_that_need_padded_rows_or_have_one_head_are_refused() -> None:
    attention.register()
    from transformers import MistralConfig, MistralForCausalLM

    config = MistralConfig(
        vocab_size=64, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, sliding_window=16, max_position_embeddings=64,
    )  # fmt: skip
    with pytest.raises(ModelError, match="longer than the attention window"):
        paths.choose(MistralForCausalLM(config), longest=40, pad=0, dropout=False, autocast=None, group=8)
    with pytest.raises(ModelError, match="one attention head"):
        chosen(8, num_attention_heads=1, num_key_value_heads=1)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize(("heads", "kv"), HEADS)
def test_the_kernel_agrees_on_a_gpu(heads: int, kv: int) -> None:
    lengths = [1, 300, 40, 129]
    device = torch.device("cuda")
    exact = [torch.randn(1, h, sum(lengths), 64, device=device) for h in (heads, kv, kv)]
    layout = layout_of(lengths, 64)
    layout.device = device
    half = [x.to(torch.bfloat16) for x in exact]
    got, _ = attention.attend(torch.nn.Module(), *half, None, layout=layout)
    assert (got.float() - by_mask(*exact, mask_of(lengths, heads, 64).to(device))).abs().max() < 5e-2
