"""Adapters on GPTQ, AWQ and AQLM checkpoints, made here by hand; each test needs its library."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.methods.cycle import learns_and_reloads, resumes_exactly
from tuitune.errors import ModelError
from tuitune.models.shaping import Shaping, load_shaped

_GROUP = 32  # weights that share a scale


def rewritten(folder: Path, config: dict[str, Any], pack: Callable[[Tensor], dict[str, Tensor]]) -> None:
    """Replace every linear layer's weight in `folder` by what `pack` makes of it, and say so in config.json."""
    tensors: dict[str, Tensor] = {}
    for name, tensor in load_file(folder / "model.safetensors").items():
        if name.endswith("_proj.weight"):
            stem = name.removesuffix("weight")
            tensors |= {stem + part: value for part, value in pack(tensor).items()}
        else:
            tensors[name] = tensor
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"quantization_config": config}))


def nibbles(numbers: Tensor, dim: int, order: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6, 7)) -> Tensor:
    """Put eight neighbours of 4 bits each along `dim` into one int32."""
    numbers = numbers.movedim(dim, 0).long()
    packed = torch.zeros(numbers.shape[0] // 8, *numbers.shape[1:], dtype=torch.long)
    for place, which in enumerate(order):
        packed |= numbers[which::8] << (4 * place)
    return torch.where(packed >= 2**31, packed - 2**32, packed).int().movedim(0, dim).contiguous()


def rounded(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return a weight as (inputs, outputs) of 0 to 15 around 8, and the scales of its groups."""
    groups = weight.T.reshape(-1, _GROUP, weight.shape[0])
    scale = (groups.abs().amax(1) / 7).clamp(min=1e-8)
    numbers = (groups / scale[:, None]).round().clamp(-8, 7) + 8
    return numbers.reshape(weight.T.shape), scale.half()


def gptq(weight: Tensor) -> dict[str, Tensor]:
    """The tensors of GPTQ's files: numbers packed along the inputs, zero points one too low."""
    numbers, scale = rounded(weight)
    return {
        "qweight": nibbles(numbers, 0),
        "qzeros": nibbles(torch.full(scale.shape, 7), 1),
        "scales": scale,
        "g_idx": (torch.arange(weight.shape[1]) // _GROUP).int(),
    }


def awq(weight: Tensor) -> dict[str, Tensor]:
    """The tensors of AWQ's files: numbers packed along the outputs, even ones first."""
    numbers, scale = rounded(weight)
    order = (0, 2, 4, 6, 1, 3, 5, 7)
    return {
        "qweight": nibbles(numbers, 1, order),
        "qzeros": nibbles(torch.full(scale.shape, 8), 1, order),
        "scales": scale,
    }


def aqlm(weight: Tensor) -> dict[str, Tensor]:
    """The tensors of AQLM's files: eight weights at once are one of 2^16 entries; here any of them."""
    outputs, inputs = weight.shape
    draw = torch.Generator().manual_seed(0)
    return {
        "codebooks": 0.05 * torch.randn(1, 2**16, 1, 8, generator=draw),
        "codes": torch.randint(-(2**15), 2**15, (outputs, inputs // 8, 1), generator=draw).short(),
        "scales": torch.ones(outputs, 1, 1, 1),
    }


_AQLM = {"quant_method": "aqlm", "in_group_size": 8, "out_group_size": 1, "num_codebooks": 1, "nbits_per_codebook": 16,
         "linear_weights_not_to_quantize": ["lm_head"]}  # fmt: skip
FILES: dict[str, tuple[tuple[str, ...], dict[str, Any], Callable[[Tensor], dict[str, Tensor]]]] = {
    "gptq": (
        ("gptqmodel", "optimum"),
        {"quant_method": "gptq", "bits": 4, "group_size": _GROUP, "desc_act": False, "sym": True,
         "checkpoint_format": "gptq"},
        gptq,
    ),
    "awq": (
        ("gptqmodel",),
        {"quant_method": "awq", "bits": 4, "group_size": _GROUP, "zero_point": True, "version": "gemm"},
        awq,
    ),
    "aqlm": (("aqlm",), _AQLM, aqlm),
}  # fmt: skip


@pytest.fixture(params=list(FILES))
def ready(root: Path, request: pytest.FixtureRequest) -> tuple[Path, str]:
    """The tiny model, quantised, in the place of the plain one."""
    libraries, config, pack = FILES[request.param]
    for library in libraries:
        pytest.importorskip(library)
    rewritten(root / "tiny", config, pack)
    return root, request.param


def test_learns_and_reloads(ready: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> None:
    learns_and_reloads(ready[0], monkeypatch, lora_dropout=0.1)


def test_resumes_exactly(ready: tuple[Path, str]) -> None:
    resumes_exactly(ready[0], lora_dropout=0.1)


@torch.no_grad()
def test_the_model_in_memory_holds_the_numbers_of_the_file(ready: tuple[Path, str]) -> None:
    root, method = ready
    layer = load_shaped(root / "tiny", Shaping(), dtype=torch.float32, device="cpu").model.layers[0].mlp.up_proj
    assert hasattr(layer, "codes" if method == "aqlm" else "qweight")
    if method != "aqlm":
        from tests.tiny import tiny_model

        numbers, scale = rounded(tiny_model(num_hidden_layers=4).model.layers[0].mlp.up_proj.weight)
        wanted = (numbers - 8) * scale.float().repeat_interleave(_GROUP, 0)
        torch.testing.assert_close(layer(torch.eye(64)).float(), wanted, atol=1e-3, rtol=0)


def test_what_the_library_computes_wrongly_on_a_cpu_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tuitune.models import quantise

    monkeypatch.setattr(quantise, "find_spec", lambda name: name)
    rewritten(root / "tiny", _AQLM | {"nbits_per_codebook": 8}, aqlm)
    with pytest.raises(ModelError, match="wrongly on a CPU"):
        load_shaped(root / "tiny", Shaping(), dtype=torch.float32, device="cpu")
