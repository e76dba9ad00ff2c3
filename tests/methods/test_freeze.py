"""Freeze tuning through the whole cycle: what learns, what stays, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.engine.given import weights
from tests.methods.cycle import learns_and_reloads, resumes_exactly
from tests.recipe.asked import recipe
from tests.tiny import tiny_model
from tuitune.engine.plan import choose_device
from tuitune.errors import ModelError
from tuitune.fit.precision import precision
from tuitune.methods.freeze import Freeze
from tuitune.recipe import Recipe

CASES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    # name: keys, how the names of the trained tensors begin
    "last two": ({}, ("model.layers.2.", "model.layers.3.")),
    "first one": ({"freeze_trainable_layers": -1}, ("model.layers.0.",)),
    "modules": (
        {"freeze_trainable_layers": 1, "freeze_trainable_modules": "mlp,v_proj", "freeze_extra_modules": "norm"},
        ("model.layers.3.mlp.", "model.layers.3.self_attn.v_proj.", "model.norm."),
    ),
    "only outside": ({"freeze_trainable_layers": 0, "freeze_extra_modules": "embed_tokens"}, ("model.embed_tokens.",)),
}


def freeze(*lines: str) -> Recipe:
    """Return a recipe that freezes."""
    return recipe("finetuning_type: freeze", *lines)


def moved(folder: Path, final: Path) -> set[str]:
    """Return the names of the tensors that training has changed by a bit or more."""
    before, after = weights(folder), weights(final)
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize("case", CASES)
def test_learns_and_reloads_and_the_rest_stays_as_it_was(
    root: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    keys, trained = CASES[case]
    made = learns_and_reloads(root, monkeypatch, finetuning_type="freeze", **keys)
    changed = moved(root / "tiny", made.final)
    assert changed == {name for name in weights(root / "tiny") if name.startswith(trained)}


@pytest.mark.parametrize("case", ["last two", "modules"])
def test_resumes_exactly(root: Path, case: str) -> None:
    resumes_exactly(root, finetuning_type="freeze", **CASES[case][0])


def test_learns_in_fp32_on_a_frozen_half_precision_model() -> None:
    model = tiny_model(num_hidden_layers=4).to(torch.bfloat16)
    Freeze().prepare(model, freeze("freeze_extra_modules: norm"))
    kinds = {name: p.dtype for name, p in model.named_parameters()}
    trained = {name for name, p in model.named_parameters() if p.requires_grad}
    assert trained == {name for name, kind in kinds.items() if kind is torch.float32}
    assert len(trained) == 2 * 9 + 1


def test_pure_bf16_keeps_everything_in_bf16() -> None:
    model = tiny_model().to(torch.bfloat16)
    Freeze().prepare(model, freeze("freeze_trainable_layers: 1", "pure_bf16: true"))
    assert {p.dtype for p in model.parameters()} == {torch.bfloat16}


def test_half_precision_is_for_what_is_frozen_only() -> None:
    half = freeze("bf16: true", "device: cpu")
    plan = choose_device(half, threads=1)
    formats = precision(half, "cpu")
    assert (plan.dtype, plan.autocast) == (formats.weights, formats.autocast) == ("bfloat16", "bf16")
    assert precision(freeze(), "cuda").weights == "bfloat16"
    assert choose_device(freeze("device: cpu"), threads=1).dtype == "float32"


def test_learns_and_reloads_in_mixed_precision(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Trained under autocast and asked in fp32, so the logits differ by bf16's rounding; the tensors do not.
    made = learns_and_reloads(root, monkeypatch, within=0.05, finetuning_type="freeze", bf16=True)
    saved = weights(made.final)
    assert {saved[name].dtype for name in saved if ".layers.3." in name} == {torch.float32}
    assert saved["model.layers.0.mlp.up_proj.weight"].dtype is torch.bfloat16


def test_tied_tensors_go_by_either_name() -> None:
    model = tiny_model()
    Freeze().prepare(model, freeze("freeze_trainable_layers: 0", "freeze_extra_modules: lm_head"))
    assert model.get_input_embeddings().weight.requires_grad


@pytest.mark.parametrize(
    ("lines", "words", "valid"),
    [
        (("freeze_trainable_modules: mlp,attn",), "names attn", "all, input_layernorm, mlp, post_attention_layernorm"),
        (("freeze_extra_modules: embed",), "names embed", "embed_tokens, norm, lm_head"),
        (("freeze_trainable_layers: 3",), "the model has 2 layers", "at most 2"),
        (("freeze_trainable_layers: -3",), "the model has 2 layers", "at most 2"),
    ],
)
def test_what_the_model_does_not_have_is_refused_with_what_it_has(
    lines: tuple[str, ...], words: str, valid: str
) -> None:
    with pytest.raises(ModelError) as caught:
        Freeze().prepare(tiny_model(), freeze(*lines))
    assert words in caught.value.message
    assert valid in caught.value.hint
