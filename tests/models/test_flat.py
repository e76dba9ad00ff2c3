"""The flat forward against the plain padded one: float64 truth, fp32, leaks, shared beginnings, every odd length."""

from __future__ import annotations

import random

import pytest
import torch
import torch.nn.functional as F
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from tests.tiny import tiny_model
from tuitune.models import attention, paths, probe
from tuitune.models.flat import IGNORED, FlatBuilder, common_beginning, needed
from tuitune.models.head import HeadTap

Rows = list[tuple[list[int], list[int]]]


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """RMSNorm without its rounding to fp32, so that float64 is float64 all the way."""

    def forward(self: LlamaRMSNorm, x: torch.Tensor) -> torch.Tensor:
        return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))

    monkeypatch.setattr(LlamaRMSNorm, "forward", forward)


def rows_of(lengths: list[int], *, seed: int = 0, prompt: int = 3) -> Rows:
    draw = random.Random(seed)
    rows = []
    for n in lengths:
        ids = [draw.randrange(3, 500) for _ in range(n)]
        rows.append((ids, [IGNORED] * min(prompt, n - 1) + ids[min(prompt, n - 1) :]))
    return rows


def padded_loss(model: torch.nn.Module, rows: Rows) -> torch.Tensor:
    """The textbook: right-padded rows, full logits, summed cross entropy."""
    width = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([r + [0] * (width - len(r)) for r, _ in rows])
    labels = torch.tensor([m + [IGNORED] * (width - len(m)) for _, m in rows])
    mask = torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r, _ in rows])
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), reduction="sum")


def models(dtype: torch.dtype, **config: object) -> tuple[torch.nn.Module, torch.nn.Module]:
    attention.register()
    plain = tiny_model(**config).to(dtype).train()
    flat = tiny_model(attn_implementation="tuitune", **config).to(dtype).train()
    return plain, flat


def gradient(model: torch.nn.Module) -> torch.Tensor:
    grad = torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
    model.zero_grad()
    return grad


def compare(rows: Rows, dtype: torch.dtype, *, path: str = "flat", tap: bool = True) -> tuple[float, float]:
    """Return the relative differences of loss and gradient between a path and the textbook."""
    plain, mine = models(dtype)
    head = paths.Head(HeadTap.on(mine) if tap else None, None)
    cpu = torch.device("cpu")
    way = paths.FlatPath(head, cpu, share=True) if path == "flat" else paths.PaddedPath(head, cpu, 0)
    truth = padded_loss(plain, rows)
    truth.backward()
    score = way.score(mine, [r for r, _ in rows], [m for _, m in rows])
    score.loss.backward()
    a, b = gradient(mine).double(), gradient(plain).double()
    return abs(score.loss.item() - truth.item()) / abs(truth.item()), ((a - b).norm() / b.norm()).item()


CASES = {
    "random lengths": [random.Random(1).randrange(2, 60) for _ in range(9)],
    "a single row": [17],
    "rows of two tokens": [2, 2, 2],
    "one long, many short": [200, 2, 3, 4, 5],
    "equal rows": [12, 12, 12],
}


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("path", ["flat", "padded"])
@pytest.mark.parametrize("tap", [True, False], ids=["sliced head", "own head"])
@pytest.mark.parametrize("lengths", CASES.values(), ids=CASES.keys())
def test_loss_and_gradient_equal_the_padded_ones_in_float64(lengths: list[int], tap: bool, path: str) -> None:
    loss, grad = compare(rows_of(lengths, prompt=1), torch.float64, path=path, tap=tap)
    assert loss < 1e-10
    assert grad < 1e-10


@pytest.mark.parametrize("lengths", CASES.values(), ids=CASES.keys())
def test_loss_and_gradient_equal_the_padded_ones_in_fp32(lengths: list[int]) -> None:
    loss, grad = compare(rows_of(lengths), torch.float32)
    assert loss < 1e-5
    assert grad < 1e-5


@pytest.mark.usefixtures("exact")
def test_a_shared_beginning_is_computed_once_and_changes_nothing() -> None:
    draw = random.Random(3)
    trunk = [draw.randrange(3, 500) for _ in range(30)]
    rows = []
    for n in (1, 5, 12, 12):
        ids = trunk + [draw.randrange(3, 500) for _ in range(n)]
        rows.append((ids, [IGNORED] * 28 + ids[28:]))  # the last two tokens of the trunk are learned by every row
    rows.append((trunk[:29], [IGNORED] * 20 + trunk[20:29]))  # one row ends inside the trunk
    loss, grad = compare(rows, torch.float64)
    assert (loss, grad) < (1e-10, 1e-10)
    path = paths.FlatPath(paths.Head(None, None), torch.device("cpu"), share=True)
    alone = sum(needed(mask) for _, mask in rows)
    shared = path.size([r for r, _ in rows], [m for _, m in rows])
    assert shared == alone - 4 * 28
    assert path.score(models(torch.float32)[1], [r for r, _ in rows], [m for _, m in rows]).tokens == shared


def test_sequences_in_one_flat_row_do_not_see_each_other() -> None:
    _, model = models(torch.float32)
    path = paths.FlatPath(paths.Head(HeadTap.on(model), None), torch.device("cpu"), share=True)
    first, second = rows_of([20, 15], seed=5)
    changed = ([*second[0][:4], 77, *second[0][5:]], second[1])
    with torch.no_grad():
        losses = [path.score(model, [first[0], other[0]], [first[1], other[1]]) for other in (second, changed)]
        alone = [path.score(model, [other[0]], [other[1]]) for other in (second, changed)]
    whole, parts = losses[1].loss - losses[0].loss, alone[1].loss - alone[0].loss
    assert abs(parts) > 1e-3
    assert torch.allclose(whole, parts, atol=1e-4)


def test_the_leak_test_of_the_product_notices_a_leak() -> None:
    attention.register()
    model = tiny_model()
    truth = probe.rows_alone(model)
    assert probe.flat_agrees(model, truth)

    def leaking(*args: object, **kwargs: object) -> object:
        return attention.sdpa_attention_forward(*args, **{k: v for k, v in kwargs.items() if k != "layout"})

    attention.AttentionInterface.register("leaking", leaking)
    attention.AttentionMaskInterface.register("leaking", lambda *a, **k: None)
    assert not probe.flat_agrees(model, truth, "leaking")


def test_models_that_cannot_be_flat_get_padded_rows_and_a_reason() -> None:
    attention.register()
    model = tiny_model(attn_implementation="tuitune")
    chosen = lambda longest: paths.choose(model, longest=longest, pad=0, dropout=False, autocast=None)  # noqa: E731
    assert chosen(100)[0].name == "flat"
    model.config.sliding_window = 64
    assert chosen(64)[0].name == "flat"
    path, reason = chosen(65)
    assert path.name == "padded"
    assert "window of 64" in reason


@pytest.mark.parametrize(
    ("sequences", "length"), [([[1, 2, 3], [1, 2, 4]], 2), ([[1], [1, 2]], 1), ([[], [1]], 0), ([[5, 6], [6, 5]], 0)]
)
def test_common_beginning(sequences: list[list[int]], length: int) -> None:
    assert common_beginning(sequences) == length


def test_what_nothing_learns_from_is_not_computed() -> None:
    builder = FlatBuilder()
    builder.add([[5, 6, 7, 8, 9]], [[IGNORED, 6, 7, IGNORED, IGNORED]])
    batch = builder.build()
    assert batch.input_ids.tolist() == [[5, 6]]
    assert batch.targets.tolist() == [6, 7]
    with pytest.raises(ValueError, match="labelled"):
        FlatBuilder().build()


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("turned", [False, True])
def test_a_row_that_learns_only_inside_the_shared_beginning_keeps_its_targets(turned: bool) -> None:
    """As mask_history makes them: a conversation, and its own beginning as another row."""
    draw = random.Random(4)
    whole = [draw.randrange(3, 500) for _ in range(40)]
    rows = [(whole, [IGNORED] * 30 + whole[30:]), (whole[:20], [IGNORED] * 10 + whole[10:20])]
    loss, grad = compare(rows[::-1] if turned else rows, torch.float64)
    assert (loss, grad) < (1e-10, 1e-10)
