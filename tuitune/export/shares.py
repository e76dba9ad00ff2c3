"""Several adapters merged by shares: W + sum of w_i (W_i - W), where W_i has adapter i alone, all of it.

That is a sum of task vectors (Ilharco et al., arXiv 2212.04089); for LoRA it is W + sum of w_i s_i B_i A_i. peft's own
`add_weighted_adapter` of the kind "linear" is another thing: it adds the factors, and A and B of different adapters
multiply each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tuitune.errors import ModelError
from tuitune.fit.files import read_object
from tuitune.methods.adapters import CONFIG, kind_of
from tuitune.models import valued

if TYPE_CHECKING:
    from torch import Tensor

Merge = Callable[[Any, Path], Any]
# Rotations: between two of them lies none.
_ROTATIONS = ("OFT", "BOFT")
_ALONE = ("LORA", "LOHA", "LOKR", "ADALORA", "VERA")  # their change of a weight does not depend on the weight


def refuse(adapters: Sequence[Path], shares: Sequence[float], *, chained: bool) -> None:
    """Raise ModelError where shares of these adapters mean nothing.

    chained: every adapter was trained on the model with those before it in its weights.
    """
    for number, (adapter, share) in enumerate(zip(adapters, shares, strict=True)):
        kind = kind_of(adapter)
        if kind in _ROTATIONS and share != 1:
            raise ModelError(
                f"the adapter in {adapter} rotates weights ({kind}): {share:g} of a rotation is no rotation",
                "give it the weight 1",
            )
        if chained and number and not _independent(adapter, kind):
            raise ModelError(
                f"the adapter in {adapter} ({_called(adapter, kind)}) was trained on top of the ones before it, and "
                "what it changes depends on them",
                "leave export_adapter_weights out: each is then merged whole, in their order",
            )
        if (adapter / valued.FILE).is_file():
            raise ModelError(
                f"the adapter in {adapter} is part of a reward model, whose head belongs to all of the adapter",
                "leave export_adapter_weights out",
            )


def _independent(adapter: Path, kind: str) -> bool:
    dora = read_object(adapter / CONFIG).get("use_dora") is True
    begun = (adapter / "tuitune_start.safetensors").is_file()
    return kind in _ALONE and not dora and not begun


def _called(adapter: Path, kind: str) -> str:
    return "DoRA" if read_object(adapter / CONFIG).get("use_dora") is True else kind


@torch.no_grad()
def merged(model: Any, adapters: Sequence[Path], shares: Sequence[float], merge: Merge) -> Any:
    """Return the model with shares of adapters in its weights; `merge` puts the whole of one in.

    It takes two more copies of the weights that the adapters change. Sums are computed in fp64 and rounded once.
    """
    start = {name: tensor.detach().clone() for name, tensor in _tensors(model).items()}
    change: dict[str, Tensor] = {}
    for adapter, share in zip(adapters, shares, strict=True):
        model = merge(model, adapter)
        for names, tensor in _storages(model):
            before = _before(names[0], start)
            if not torch.equal(tensor, before):
                delta = share * (tensor.double() - before.double())
                change |= {name: (change[name].double() + delta if name in change else delta).float() for name in names}
                tensor.data.copy_(before)
    for names, tensor in _storages(model):
        if names[0] in change:
            tensor.data.copy_(tensor.double() + change[names[0]].double())
    return model


def _tensors(model: Any) -> dict[str, Tensor]:
    """Return what has numbers under all its names: what is tied may come apart later."""
    both = (*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False))
    return {name: tensor for name, tensor in both if tensor.is_floating_point()}


def _storages(model: Any) -> list[tuple[list[str], Tensor]]:
    """Return every tensor once, with its names."""
    found: dict[int, tuple[list[str], Tensor]] = {}
    for name, tensor in _tensors(model).items():
        found.setdefault(id(tensor), ([], tensor))[0].append(name)
    return list(found.values())


def _before(name: str, start: Mapping[str, Tensor]) -> Tensor:
    if name not in start:
        raise ModelError(
            f"the adapter adds {name} to the model, of which no share can be taken", "give all adapters the weight 1"
        )
    return start[name]
