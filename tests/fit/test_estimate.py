from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fit.asked import GIB, QWEN_7B, recipe, shape_of_model
from tests.tiny import tiny_model
from tuitune.fit.estimate import ROLES, Estimate, estimate, largest_batch, why_no_batch
from tuitune.fit.layers import Block
from tuitune.fit.shapes import ModelShape


def _bytes(tensors: Any) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"pure_bf16": True},
        {"bf16": True},
        {"use_dora": True, "lora_rank": 4},
        {"bf16": True, "additional_target": "embed_tokens", "lora_target": "q_proj,v_proj"},
        {"finetuning_type": "full"},
        {"finetuning_type": "full", "bf16": True},
        {"finetuning_type": "full", "pure_bf16": True},
    ],
)
def test_weights_adapters_and_gradients_are_those_of_the_prepared_model(asked: dict[str, Any], tied: bool) -> None:
    import torch

    from tuitune.fit.precision import precision
    from tuitune.methods import method

    wanted = recipe(**asked)
    model: Any = tiny_model(tie_word_embeddings=tied).to(getattr(torch, precision(wanted, "cpu").weights))
    shape = shape_of_model(model)
    made: Any = method(wanted.finetuning_type).prepare(model, wanted)
    parts = estimate(wanted, shape).parts
    assert parts is not None
    assert parts["weights"] + parts["adapters"] == _bytes(made.parameters())
    assert parts["grads"] == _bytes(p for p in made.parameters() if p.requires_grad)
    assert (parts["adapters"] == 0) == (wanted.finetuning_type == "full")
    assert parts["optim"] == 2 * parts["grads"]


def test_parts_come_in_order_and_add_up() -> None:
    found = estimate(recipe(), QWEN_7B, free=101 * GIB, total=140 * GIB, kind="cuda")
    assert found.parts is not None
    assert tuple(found.parts) == ROLES
    assert found.total == sum(found.parts.values())
    assert round(found.parts["weights"] / GIB, 2) == 14.19
    assert "estimate" in found.notes[0]


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("per_device_train_batch_size", [1, 2, 4, 8]),
        ("gradient_accumulation_steps", [1, 2, 4]),
        ("cutoff_len", [128, 512, 2048, 8192]),
        ("lora_rank", [4, 8, 64, 256]),
        ("lora_dropout", [0.0, 0.1]),
        ("use_dora", [False, True]),
    ],
)
@pytest.mark.parametrize("recompute", [True, False])
@pytest.mark.parametrize("kind", ["cpu", "cuda"])
def test_more_never_takes_less(key: str, values: list[object], recompute: bool, kind: Any) -> None:
    basis = {"per_device_train_batch_size": 1, "cutoff_len": 512, "gradient_checkpointing": recompute}
    totals = [estimate(recipe(**{**basis, key: value}), QWEN_7B, kind=kind).total or 0 for value in values]
    assert totals == sorted(totals)
    if kind == "cuda":
        assert len(set(totals)) == len(totals)


def test_recomputation_saves_and_is_switched_on_only_when_a_row_would_not_fit() -> None:
    ample = estimate(recipe(cutoff_len=4096), QWEN_7B, free=130 * GIB, kind="cuda")
    scarce = estimate(recipe(cutoff_len=4096), QWEN_7B, free=32 * GIB, kind="cuda")
    assert not ample.recompute
    assert scarce.recompute
    assert any("recomputed" in note for note in scarce.notes)
    assert (scarce.total or 0) < (ample.total or 0)
    never = estimate(recipe(cutoff_len=4096, disable_gradient_checkpointing=True), QWEN_7B, free=32 * GIB, kind="cuda")
    assert not never.recompute
    assert never.fits == "no"


def test_a_large_batch_is_cut_to_the_memory_that_is_free() -> None:
    found = estimate(recipe(per_device_train_batch_size=64), QWEN_7B, free=100 * GIB, kind="cuda")
    assert found.fits in ("yes", "tight")
    assert found.tokens < 64 * 2048
    assert any("cut" in note for note in found.notes)


def test_the_verdict() -> None:
    parts = dict.fromkeys(ROLES, 100)
    assert Estimate(parts, free=800).fits == "yes"
    assert Estimate(parts, free=770).fits == "tight"
    assert Estimate(parts, free=600).fits == "no"
    assert Estimate(parts, free=600).missing == 100
    assert Estimate(parts).fits == "unknown"
    assert Estimate(None, free=600).fits == "unknown"


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        (None, "not here yet"),
        (ModelShape(), "config.json"),
        (ModelShape(architecture="gpt2", parameters=10**8), "gpt2"),
        (replace(QWEN_7B, packed=True), "quantised"),
        (replace(QWEN_7B, parameters=5), "not those"),
        (ModelShape(architecture="llama", hidden_size=8), "sizes"),
    ],
)
def test_where_nothing_is_known_it_says_so_and_gives_no_number(shape: ModelShape | None, words: str) -> None:
    found = estimate(recipe(), shape, free=GIB, total=GIB)
    assert found.parts is None
    assert found.fits == "unknown"
    assert words in found.notes[0]
    assert largest_batch(recipe(), shape, free=GIB) is None
    assert why_no_batch(found) == found.notes[0]


def test_targets_that_the_model_does_not_have() -> None:
    found = estimate(recipe(lora_target="query_key_value"), QWEN_7B)
    assert found.parts is None
    assert "query_key_value" in found.notes[0]


def test_rows_whose_length_is_known_take_less() -> None:
    known = estimate(recipe(), QWEN_7B, longest=212, kind="cuda")
    worst = estimate(recipe(), QWEN_7B, kind="cuda")
    assert (known.total or 0) < (worst.total or 0)
    assert "cutoff_len" in worst.notes[0]
    assert "cutoff_len" not in known.notes[0]


def test_an_adapter_that_is_trained_further_is_counted_as_it_is() -> None:
    wanted = recipe(adapter_name_or_path="old")
    as_new = estimate(wanted, QWEN_7B)
    as_it_is = estimate(wanted, QWEN_7B, adapter=(Block((16, 3584)), Block((3584, 16))))
    assert any("adapter" in note for note in as_new.notes)
    assert as_it_is.parts is not None
    assert as_it_is.parts["adapters"] == 2 * 16 * 3584 * 4


def test_logits_are_those_of_a_slice_unless_the_head_is_no_plain_product() -> None:
    plain = estimate(recipe(), QWEN_7B, kind="cuda").parts
    adapted = estimate(recipe(lora_target="q_proj,lm_head"), QWEN_7B, kind="cuda").parts
    assert plain is not None
    assert adapted is not None
    assert plain["logits"] < 2 * GIB < adapted["logits"]


def test_an_optimizer_that_copies_shows_on_a_gpu_only() -> None:
    full = {"finetuning_type": "full", "pure_bf16": True, "cutoff_len": 16, "per_device_train_batch_size": 1}
    fused = estimate(recipe(**full), QWEN_7B, kind="cuda").total or 0
    copying = estimate(recipe(**full, optim="adamw_torch"), QWEN_7B, kind="cuda").total or 0
    assert copying - fused > GIB
    assert estimate(recipe(**full), QWEN_7B).total == estimate(recipe(**full, optim="adamw_torch"), QWEN_7B).total


@given(free=st.integers(16 * GIB, 200 * GIB), cutoff=st.sampled_from([64, 512, 2048, 8192]), rank=st.integers(1, 256))
def test_the_largest_batch_fits_and_one_more_does_not(free: int, cutoff: int, rank: int) -> None:
    wanted = recipe(cutoff_len=cutoff, lora_rank=rank)
    best = largest_batch(wanted, QWEN_7B, free=free, kind="cuda")
    if best is None:
        one = estimate(recipe(cutoff_len=cutoff, lora_rank=rank, per_device_train_batch_size=1), QWEN_7B,
                       free=free, kind="cuda")  # fmt: skip
        assert (one.total or 0) > free * 0.9
        assert why_no_batch(one)
        return
    assert best == 1 or best * cutoff <= 32768
    found = estimate(recipe(cutoff_len=cutoff, lora_rank=rank, per_device_train_batch_size=best), QWEN_7B,
                     free=free, kind="cuda")  # fmt: skip
    assert found.fits == "yes"


def test_the_largest_batch_grows_with_the_memory() -> None:
    found = [largest_batch(recipe(cutoff_len=512), QWEN_7B, free=n * GIB, kind="cuda") for n in (8, 24, 40, 80, 10_000)]
    assert found[0] is None
    sizes = [size for size in found[1:] if size is not None]
    assert sizes == sorted(sizes)
    assert sizes[-1] == 64  # more tokens at once than 32,768 gain nothing


def test_one_row_that_is_longer_than_the_cut_still_goes_in() -> None:
    assert largest_batch(recipe(cutoff_len=4096), shape_of_model(tiny_model()), free=64 * GIB) == 1


def test_why_nothing_fits() -> None:
    small = estimate(recipe(), QWEN_7B, free=2 * GIB, kind="cuda")
    assert "smaller model" in why_no_batch(small)
    long_rows = estimate(recipe(cutoff_len=131072), QWEN_7B, free=20 * GIB, kind="cuda")
    assert "cutoff_len" in why_no_batch(long_rows)
    assert "not known" in why_no_batch(estimate(recipe(), QWEN_7B))
