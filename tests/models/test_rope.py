"""Stretched rotary positions against the formulas of their inventors, on the frequencies of real modules."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    FalconConfig,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    LlamaConfig,
    Phi3Config,
    Qwen3Config,
)

from tests.models.test_flat import rows_of
from tests.tiny import tiny_model
from tuitune.errors import ModelError
from tuitune.models import paths
from tuitune.models.rope import refuse_ignored, scaled_config, stretch
from tuitune.models.shaping import Shaping, load_shaped

KINDS = ["linear", "dynamic", "yarn", "llama3"]
MOST, LENGTH = 64, 150
FACTOR = 3  # the next whole one: 150 / 64 = 2.3
SIZES: dict[str, Any] = {
    "vocab_size": 64, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 2, "max_position_embeddings": MOST, "pad_token_id": 0,
}  # fmt: skip


def frequencies(kind: str, width: int, base: float) -> tuple[torch.Tensor, float]:
    """The angle per position of each pair of numbers, and what cosine and sine are multiplied with."""
    i = torch.arange(0, width, 2, dtype=torch.float64)
    plain = base ** (-i / width)
    if kind == "linear":  # position interpolation (arXiv 2306.15595): m / s
        return plain / FACTOR, 1.0
    if kind == "dynamic":  # NTK-aware, at one length (bloc97, emozilla)
        larger = base * (FACTOR * LENGTH / MOST - (FACTOR - 1)) ** (width / (width - 2))
        return larger ** (-i / width), 1.0
    wavelength = 2 * math.pi / plain
    turns = MOST / wavelength
    if kind == "yarn":  # arXiv 2309.00071: equations 12 to 15, the ramp over pairs as in the authors' code

        def pair(rotations: float) -> float:
            return width * math.log(MOST / (rotations * 2 * math.pi)) / (2 * math.log(base))

        low, high = max(math.floor(pair(32)), 0), min(math.ceil(pair(1)), width - 1)
        ramp = ((torch.arange(width // 2, dtype=torch.float64) - low) / (high - low)).clamp(0, 1)
        return plain / FACTOR * ramp + plain * (1 - ramp), 0.1 * math.log(FACTOR) + 1
    smooth = (turns - 1) / (4 - 1)  # Llama 3.1: kept above 4 turns, interpolated below 1, mixed between
    mixed = (1 - smooth) * plain / FACTOR + smooth * plain
    return torch.where(turns < 1, plain / FACTOR, torch.where(turns > 4, plain, mixed)), 1.0


FAMILIES: dict[str, tuple[type, dict[str, Any], int]] = {
    "llama": (LlamaConfig, {"rope_theta": 500000.0}, 32),
    "qwen3": (Qwen3Config, {"head_dim": 48}, 48),
    "gpt-neox, a quarter rotated": (GPTNeoXConfig, {"rotary_pct": 0.25}, 8),
    "falcon": (FalconConfig, {}, 32),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_the_angles_are_those_of_the_formulas(family: str, kind: str) -> None:
    cls, more, width = FAMILIES[family]
    config = cls(**{k: v for k, v in (SIZES | more).items() if family != "falcon" or k != "num_key_value_heads"})
    base = config.rope_parameters["rope_theta"]
    stretch(config, kind, LENGTH, lambda text: None)
    model = AutoModelForCausalLM.from_config(config)
    rotary = next(m for m in model.modules() if hasattr(m, "inv_freq"))
    positions = torch.arange(LENGTH)[None]
    cos, sin = rotary(torch.zeros(1, dtype=torch.float64), positions)
    angles, size = frequencies(kind, width, base)
    wanted = positions[0, :, None].double() * angles
    assert (rotary.inv_freq.double() / angles - 1).abs().max() < 1e-6
    assert (cos[0, :, : width // 2] - size * wanted.cos()).abs().max() < 1e-4  # angles in fp32
    assert (sin[0, :, : width // 2] - size * wanted.sin()).abs().max() < 1e-4
    assert config.max_position_embeddings == (LENGTH if kind == "dynamic" else FACTOR * MOST)
    refuse_ignored(model)


@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_model_is_loaded_with_the_same_positions(kind: str, tmp_path: Path) -> None:
    tiny_model(max_position_embeddings=MOST).save_pretrained(tmp_path / "base")
    shaping = Shaping(rope_scaling=kind, rope_length=LENGTH)
    model = load_shaped(tmp_path / "base", shaping, dtype=torch.float32, device="cpu", attention="sdpa")
    model.save_pretrained(tmp_path / "saved")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    ids = torch.randint(3, 500, (1, LENGTH))
    with torch.no_grad():
        assert torch.equal(again(input_ids=ids).logits, model(input_ids=ids).logits)
        plain = tiny_model(max_position_embeddings=MOST)
        assert not torch.allclose(plain(input_ids=ids).logits, model(input_ids=ids).logits, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_long_neighbour_does_not_change_the_loss_of_a_short_text(kind: str, tmp_path: Path) -> None:
    tiny_model(max_position_embeddings=MOST).save_pretrained(tmp_path)
    shaping = Shaping(rope_scaling=kind, rope_length=LENGTH)
    model = load_shaped(tmp_path, shaping, dtype=torch.float32, device="cpu")
    path, _ = paths.choose(model, longest=LENGTH, pad=0, dropout=False, autocast=None)
    rows = rows_of([20, LENGTH])
    with torch.no_grad():
        short, long = (path.score(model, [ids], [mask]).loss for ids, mask in rows)
        both = path.score(model, [r for r, _ in rows], [m for _, m in rows]).loss
        again = path.score(model, *([x] for x in rows[0])).loss  # also not after the long one
    assert abs(float(short + long - both)) < 1e-4 * float(both)
    assert torch.equal(short, again)


def test_layers_with_a_window_keep_their_positions() -> None:
    config = Gemma3TextConfig(
        **SIZES, head_dim=32, layer_types=["sliding_attention", "full_attention"], sliding_window=16
    )
    before = dict(config.rope_parameters["sliding_attention"])
    stretch(config, "linear", LENGTH, lambda text: None)
    assert config.rope_parameters["sliding_attention"] == before
    assert config.rope_parameters["full_attention"]["factor"] == FACTOR


def test_a_length_that_the_model_knows_leaves_it_alone_and_says_so(tmp_path: Path) -> None:
    tiny_model(max_position_embeddings=MOST).save_pretrained(tmp_path)
    said: list[str] = []
    shaping = Shaping(rope_scaling="yarn", rope_length=MOST)
    config = scaled_config(tmp_path, shaping, note=said.append)
    assert config.to_dict() == AutoConfig.from_pretrained(tmp_path).to_dict()
    assert said == ["rope_scaling: yarn is not used: the model knows 64 positions, cutoff_len is 64"]
    load_shaped(tmp_path, shaping, dtype=torch.float32, device="cpu", note=said.append)
    assert len(said) == 2


REFUSED: dict[str, tuple[Any, str, str]] = {
    "learnt positions": (GPT2Config(n_positions=MOST), "linear", "no rotary positions"),
    "alibi": (FalconConfig(alibi=True, max_position_embeddings=MOST), "linear", "no rotary positions"),
    "stretched already": (
        LlamaConfig(**SIZES, rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 1e4}),
        "yarn", r"stretched already \(linear, to 64 tokens\)",
    ),
    "a kind that is not known": (Phi3Config(**SIZES), "linear", "does not know rope_scaling: linear"),
    "windows only": (
        Gemma3TextConfig(**SIZES, head_dim=32, layer_types=["sliding_attention"] * 2), "linear", "window only",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_stretched_is_refused_in_words(case: str) -> None:
    config, kind, words = REFUSED[case]
    with pytest.raises(ModelError, match=words):
        stretch(config, kind, LENGTH, lambda text: None)


def test_code_that_leaves_the_setting_out_is_noticed() -> None:
    model = tiny_model(max_position_embeddings=MOST)
    stretch(model.config, "linear", LENGTH, lambda text: None)  # too late: its angles are made
    with pytest.raises(ModelError, match="without regard to rope_scaling"):
        refuse_ignored(model)
