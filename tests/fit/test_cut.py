"""What is told before the run is what the engine chooses in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.fit.asked import recipe, shape_of_model
from tests.tiny import tiny_model
from tuitune.fit import cut as ours
from tuitune.fit.load import load_of
from tuitune.fit.precision import DeviceKind, precision

_MIB = 1 << 20


@pytest.mark.parametrize("kind", ["cpu", "cuda"])
@pytest.mark.parametrize("units", [True, False])
@pytest.mark.parametrize(
    "asked", [{}, {"bf16": True}, {"bf16": False}, {"fp16": True}, {"fp16": False}, {"pure_bf16": True}]
)
@pytest.mark.parametrize("method", ["lora", "freeze", "full"])
def test_formats_are_the_engines(
    asked: dict[str, Any], method: str, kind: DeviceKind, units: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from tuitune.engine.plan import _precision

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: units)
    wanted = recipe(finetuning_type=method, **asked)
    mine = precision(wanted, kind, bf16_units=units)
    assert (mine.weights, mine.autocast) == _precision(wanted, "cpu" if kind == "cpu" else "cuda:0")


@pytest.mark.parametrize("free", [1, 4, 12, 64, 4096])
@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"gradient_checkpointing": True},
        {"gradient_checkpointing": False},
        {"disable_gradient_checkpointing": True},
        {"finetuning_type": "full"},
        {"tokens_per_batch": 777},
        {"lora_rank": 32},
        {"finetuning_type": "freeze", "freeze_trainable_layers": 1},
        {"finetuning_type": "loha"},
        {"finetuning_type": "oft"},
        {"finetuning_type": "bottleneck"},
        {"finetuning_type": "prefix_tuning"},
        {"use_dora": True, "optim": "adamw_8bit"},
        {"finetuning_type": "full", "use_galore": True, "galore_layerwise": True, "max_grad_norm": 0},
        {"finetuning_type": "full", "use_badam": True},
        {"finetuning_type": "full", "use_lisa": True},
        {"finetuning_type": "full", "use_adam_mini": True},
    ],
)
def test_the_cut_is_the_engines(
    asked: dict[str, Any], free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tuitune.engine import plan as engine
    from tuitune.methods import method

    model: Any = tiny_model()
    (tmp_path / "config.json").write_text(json.dumps(model.config.to_dict()))
    shape, wanted = shape_of_model(model), recipe(**asked)
    prepared = method(wanted.finetuning_type).prepare(model, wanted)
    monkeypatch.setattr(engine, "_free_bytes", lambda device: free * _MIB)
    first = engine.Plan("cpu", "float32", "no", 1)
    theirs, _ = engine.settle(first, wanted, prepared, tmp_path, longest=300, path="flat")

    load = load_of(wanted, shape, kind="cpu", bf16_units=False, adapter=None)
    room = ours.room_for_activations(free * _MIB, 0, load.coming)
    mine = ours.choose_cut(wanted, shape, load.formats, load.trained, kind="cpu", room=room, longest=300)
    assert (mine.tokens, mine.recompute) == (theirs.tokens_per_batch, theirs.recompute)


def test_the_limits_are_the_engines() -> None:
    from tuitune.engine import plan
    from tuitune.fit import parts
    from tuitune.models import head_loss

    assert ours.MOST_TOKENS == {"cpu": plan._CPU_TOKENS, "cuda": plan._CUDA_TOKENS}
    assert ours.SPARE == plan._SPARE
    assert parts._SLICE_BYTES == head_loss._SLICE_BYTES
