"""The states that the estimate counts are those that transformers' optimizers hold after a step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.fit.asked import recipe, shape_of_model
from tests.tiny import tiny_model
from tuitune.fit.layers import whole
from tuitune.fit.methods import trained
from tuitune.fit.optimizers import optimizer_bytes
from tuitune.fit.shaped import shaped
from tuitune.recipe import FIELDS

_SHARED = ("qmap1", "qmap2")  # tables that all tensors share


def _held(model: Any, optim: str, args: str | None, folder: Path) -> int:
    """Return the bytes of all states after one step."""
    import torch
    from transformers import Trainer, TrainingArguments

    settings = TrainingArguments(
        output_dir=str(folder), optim=optim, optim_args=args, use_cpu=True, report_to=[], disable_tqdm=True
    )
    trainer = Trainer(model=model, args=settings)
    optimizer: Any = trainer.create_optimizer()
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    states = getattr(optimizer, "optimizer", optimizer).state.values()
    tensors = [t for state in states for name, t in state.items() if name not in _SHARED and torch.is_tensor(t)]
    return sum(t.numel() * t.element_size() for t in tensors if t.dim())


_ASKED = [
    ("adamw_torch", None),
    ("adamw_torch_fused", None),
    ("adafactor", None),
    ("sgd", None),
    ("sgd", "momentum=0.9"),
    ("adagrad", None),
    ("rmsprop", None),
    ("rmsprop", "momentum=0.9,centered=true"),
    ("adamw_8bit", None),
    ("ademamix", None),
    ("ademamix_8bit", None),
    ("lion_8bit", None),
    ("lion_32bit", None),
    ("rmsprop_bnb_8bit", None),
]


@pytest.mark.parametrize(("optim", "args"), _ASKED)
@pytest.mark.parametrize("kind", ["lora", "full"])
def test_states_are_counted_to_the_byte(optim: str, args: str | None, kind: str, tmp_path: Path) -> None:
    from tuitune.methods import method

    model: Any = tiny_model()
    shape = shape_of_model(model)
    wanted = recipe(optim=optim, finetuning_type=kind, **({"optim_args": args} if args else {}))
    prepared = method(kind).prepare(model, wanted)
    blocks = trained(wanted, shaped(wanted, shape)).blocks
    assert optimizer_bytes(wanted, blocks, 4) == _held(prepared, optim, args, tmp_path)


def test_states_in_bf16_take_half() -> None:
    shape = shape_of_model(tiny_model())
    blocks = whole(shape)
    assert blocks is not None
    assert optimizer_bytes(recipe(), blocks, 2) * 2 == optimizer_bytes(recipe(), blocks, 4)


def test_every_optimizer_of_the_recipe_is_known() -> None:
    blocks = whole(shape_of_model(tiny_model()))
    assert blocks is not None
    for name in FIELDS["optim"].choices or ():
        assert optimizer_bytes(recipe(optim=name), blocks, 4) >= 0
        paged = optimizer_bytes(recipe(optim="paged_adamw_8bit"), blocks, 4)
        assert paged == optimizer_bytes(recipe(optim="adamw_8bit"), blocks, 4)
