"""What learns, as tensors by name: for checkpoints of methods whose result says less than a resume needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from tuitune.errors import RunError

if TYPE_CHECKING:
    from torch import Tensor, nn


def trained(model: nn.Module) -> dict[str, Tensor]:
    """Return all parameters that learn, by their names in `model`."""
    return {name: p.detach().contiguous() for name, p in model.named_parameters() if p.requires_grad}


@torch.no_grad()
def load_trained(model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Write `tensors` into the parameters that learn. Raises RunError when they are not the same ones."""
    own = {name: p for name, p in model.named_parameters() if p.requires_grad}
    strange = list(own.keys() ^ tensors.keys())
    strange += [name for name in own.keys() & tensors.keys() if own[name].shape != tensors[name].shape]
    if strange:
        raise RunError(
            f"the checkpoint does not fit this model: {', '.join(sorted(strange)[:3])}", "start the run anew"
        )
    for name, parameter in own.items():
        parameter.copy_(tensors[name])
