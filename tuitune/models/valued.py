"""A head that gives one number for a position: the score of a reward model, or the value of a policy's state.

It is a part of the model while that learns, and lies in a file of its own beside the adapter or the model, by the
names and the file that LLaMA-Factory uses.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import nn

from tuitune.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

NAME = "v_head"
FILE = "value_head.safetensors"


class ValueHead(nn.Module):
    """hidden (..., H) -> (...,) in float32, or float64 for such a model."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.summary = nn.Linear(width, 1)
        nn.init.normal_(self.summary.weight, std=0.2)
        nn.init.zeros_(self.summary.bias)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return the number of each position."""
        exact = self.summary.weight.dtype
        with torch.autocast(hidden.device.type, enabled=False):
            found: Tensor = self.summary(hidden.to(exact))[..., 0]
        return found


def attach(model: Any) -> Any:
    """Give the model a new head that learns; it becomes `model.v_head`."""
    first = next(model.parameters())
    head = ValueHead(int(model.config.get_text_config().hidden_size))
    kind = torch.float64 if first.dtype == torch.float64 else torch.float32
    model.add_module(NAME, head.to(device=first.device, dtype=kind))
    return model


def head_of(model: Any) -> ValueHead:
    """Return the head that `attach` gave to the model."""
    head = getattr(model, NAME)
    assert isinstance(head, ValueHead)
    return head


def save(model: Any, folder: Path) -> None:
    """Write the head beside the model's own files."""
    tensors = {f"{NAME}.{key}": value.detach().cpu().contiguous() for key, value in head_of(model).state_dict().items()}
    save_file(tensors, str(folder / FILE))


def load(model: Any, folder: Path) -> None:
    """Read the head's weights; raises ModelError for a folder without them."""
    file = folder / FILE
    if not file.is_file():
        raise ModelError(f"{folder} has no {FILE}: it is no reward model", "train one with stage: rm")
    head, tensors = head_of(model), load_file(str(file))
    head.load_state_dict({key.removeprefix(f"{NAME}."): value for key, value in tensors.items()})
