"""Gradients and states that the estimate counts are those that are alive after real steps of the own optimizers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fit.asked import recipe, shape_of_model
from tests.fit.test_methods import named
from tests.tiny import tiny_model
from tuitune.fit.methods import trained
from tuitune.fit.shaped import shaped
from tuitune.fit.states import Held, held
from tuitune.recipe.fields.matrix import OWN_OPTIMIZERS

_GALORE: dict[str, Any] = {"use_galore": True, "galore_rank": 4}
_APOLLO: dict[str, Any] = {"use_apollo": True, "apollo_rank": 3}
_ASKED: list[dict[str, Any]] = [
    _GALORE,
    _GALORE | {"galore_target": "mlp,q_proj"},
    *(_GALORE | {"galore_proj_type": kind} for kind in ("reverse_std", "right", "left", "full")),
    _GALORE | {"galore_rank": 500},
    _GALORE | {"galore_rank": 33, "optim": "adamw_8bit"},
    _GALORE | {"finetuning_type": "freeze", "freeze_extra_modules": "embed_tokens"},
    _APOLLO,
    _APOLLO | {"apollo_proj": "svd", "apollo_target": "self_attn"},
    _APOLLO | {"apollo_rank": 1, "apollo_scale_type": "tensor", "apollo_proj_type": "left"},
    {"use_badam": True},
    {"use_badam": True, "badam_mode": "ratio"},
    {"use_badam": True, "badam_mode": "ratio", "badam_mask_mode": "scatter", "badam_update_ratio": 0.3},
    {"use_lisa": True, "lisa_activated_layers": 1},
    {"use_lisa": True, "lisa_activated_layers": 2},
    {"use_muon": True},
    {"use_adam_mini": True},
    {"use_adam_mini": True, "finetuning_type": "freeze", "freeze_trainable_layers": 1},
]


def _optimizer(model: Any, wanted: Any, folder: Path) -> Any:
    from transformers import TrainingArguments

    from tuitune import methods

    args = TrainingArguments(output_dir=str(folder), use_cpu=True, report_to=[], disable_tqdm=True)
    return methods.optimizer(model, wanted, args)


def _bytes(tensors: Any) -> int:
    return sum(t.untyped_storage().nbytes() for t in {t.untyped_storage().data_ptr(): t for t in tensors}.values())


def _states(optimizer: Any) -> int:
    import torch

    values = [value for state in optimizer.state.values() for value in state.values()]
    return _bytes(value for value in values if torch.is_tensor(value) and value.dim())


def test_every_own_optimizer_is_here() -> None:
    assert {key for asked in _ASKED for key in asked if key in OWN_OPTIMIZERS} == set(OWN_OPTIMIZERS)


@pytest.mark.parametrize("kind", ["float32", "bfloat16"])
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("asked", _ASKED, ids=named)
def test_gradients_and_states_to_the_byte(
    asked: dict[str, Any],
    tied: bool,
    kind: str,
    tmp_path: Path,
) -> None:
    import torch

    from tuitune.methods import method

    wanted = recipe(**{"finetuning_type": "full"} | asked, pure_bf16=kind == "bfloat16")
    model: Any = tiny_model(tie_word_embeddings=tied).to(getattr(torch, kind))
    shape = shape_of_model(model)
    told = held(
        wanted, trained(wanted, shaped(wanted, shape)).blocks, 2 if wanted.pure_bf16 else 4, shape.head_dim or 0
    )
    made: Any = method(wanted.finetuning_type).prepare(model, wanted)
    optimizer = _optimizer(made, wanted, tmp_path)
    for _ in range(2):
        made(input_ids=torch.arange(20)[None], labels=torch.arange(20)[None]).loss.backward()
        gradients = sum(p.grad.numel() * p.grad.element_size() for p in made.parameters() if p.grad is not None)
        optimizer.step()
        optimizer.zero_grad()
    assert Held(gradients, _states(optimizer)) == told


@pytest.mark.parametrize("asked", [_GALORE | {"galore_layerwise": True}, _APOLLO | {"apollo_layerwise": True}])
@pytest.mark.parametrize("parts", [1, 2])
def test_layerwise_gradients_at_their_worst(asked: dict[str, Any], parts: int, tmp_path: Path) -> None:
    import torch

    wanted = recipe(
        finetuning_type="full",
        per_device_train_batch_size=1,
        gradient_accumulation_steps=parts,
        max_grad_norm=0,
        **asked,
    )
    model: Any = tiny_model().train()
    shape = shape_of_model(model)
    told = held(wanted, trained(wanted, shaped(wanted, shape)).blocks, 4)
    optimizer = _optimizer(model, wanted, tmp_path)
    seen: list[int] = []

    def look(arrived: Any) -> None:
        gradients = [p.grad for p in model.parameters() if p.grad is not None and p is not arrived]
        kept = [each.value for each in optimizer.held.values()]
        sides = [side for each in optimizer.held.values() if each.projection for side in vars(each.projection).values()]
        seen.append(_bytes([*gradients, *kept, *(side for side in sides if side is not None)]) + _size(arrived))

    for parameter in model.parameters():
        # Ours comes after the optimizer's: what has just arrived is gone by then, and counted by its size.
        parameter.register_post_accumulate_grad_hook(look)
    for part in range(parts):
        optimizer.begin_part(last=part == parts - 1)
        model(input_ids=torch.arange(20)[None], labels=torch.arange(20)[None]).loss.backward()
    optimizer.step()
    assert max(seen) == pytest.approx(told.grads, rel=0.25)
    assert max(seen) <= told.grads
    assert _states(optimizer) == told.states


def _size(parameter: Any) -> int:
    return int(parameter.numel() * parameter.element_size())
