"""The bytes of quantised weights are those of the model that bitsandbytes has quantised."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fit.asked import recipe, shape_of_model
from tests.tiny import tiny_model
from tuitune.fit.estimate import estimate
from tuitune.fit.layers import Module
from tuitune.fit.quantised import weight_bytes


def _held(model: Any) -> int:
    """Return the bytes of weights, and of everything that is needed to make them whole again."""
    tensors = list(model.parameters())
    for parameter in model.parameters():
        state = getattr(parameter, "quant_state", None)
        if state is not None:
            tensors += [state.absmax, state.code]
            if state.nested:
                tensors += [state.offset, state.state2.absmax, state.state2.code]
        if getattr(parameter, "SCB", None) is not None:
            tensors.append(parameter.SCB)
    return sum(t.numel() * t.element_size() for t in {t.data_ptr(): t for t in tensors}.values())


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    "asked",
    [
        {"quantization_bit": 4},
        {"quantization_bit": 4, "quantization_type": "fp4", "double_quantization": False},
        {"quantization_bit": 8},
        {"quantization_bit": 4, "finetuning_type": "oft"},
        {"quantization_bit": 4, "bf16": True},
    ],
)
def test_weights_to_the_byte(asked: dict[str, Any], tied: bool, tmp_path: Path) -> None:
    import torch

    from tuitune.fit.precision import precision
    from tuitune.methods import method
    from tuitune.methods.counting import count_of
    from tuitune.models.shaping import Shaping, load_shaped

    wanted = recipe(**asked)
    plain = tiny_model(tie_word_embeddings=tied, attention_bias=True)
    plain.save_pretrained(tmp_path)
    model: Any = load_shaped(
        tmp_path, Shaping.of(wanted), dtype=getattr(torch, precision(wanted, "cpu").weights), device="cpu"
    )
    found = estimate(wanted, shape_of_model(plain))
    assert found.parts is not None
    assert found.parts["weights"] == _held(model)
    made = method(wanted.finetuning_type).prepare(model, wanted)
    assert found.count == count_of(made)


@pytest.mark.parametrize(
    ("bits", "size"),
    # 64 weights of a group, packed; its scale and its zero in fp32.
    [(8, 64 + 8), (4, 32 + 8), (3, 7 * 4 + 8), (2, 16 + 8), (1, 8 + 8)],
)
def test_what_hqq_packs(bits: int, size: int) -> None:
    wanted = recipe(quantization_bit=bits, quantization_method="hqq")
    assert weight_bytes(wanted, [Module("model.layers.0.mlp.up_proj", "linear", 128, 64)], False, 4) == 128 * size


def test_what_hqq_leaves_as_it_is() -> None:
    wanted = recipe(quantization_bit=4, quantization_method="hqq")
    odd = [Module("model.layers.0.mlp.up_proj", "linear", 3, 7), Module("lm_head", "linear", 64, 64)]
    assert weight_bytes(wanted, odd, False, 2) == 2 * (3 * 7 + 64 * 64)
