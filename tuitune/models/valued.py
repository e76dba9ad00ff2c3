"""A head that gives one number for a position: the score of a reward model, or the value of a policy's state.

It is a part of the model while that learns, and lies in a file of its own beside the adapter or the model, by the
names and the file that LLaMA-Factory uses.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from tuitune.errors import ModelError
from tuitune.models.flat import IGNORED
from tuitune.text import clean_line

if TYPE_CHECKING:
    from torch import Tensor

    from tuitune.data.rows import Row
    from tuitune.models.paths import Path as ModelPath
    from tuitune.models.paths import Reading

NAME = "v_head"
FILE = "value_head.safetensors"
VALUES = "tuitune_values.safetensors"  # a head in a checkpoint that judges nothing: ppo's


class ValueHead(nn.Module):
    """hidden (..., H) -> (...,) in float32, or float64 for such a model; begins as in Stiennon et al. (arXiv
    2009.01325, appendix B), so that scores are about 1 apart.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.summary = nn.Linear(width, 1)
        nn.init.normal_(self.summary.weight, std=1 / math.sqrt(width + 1))
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
    kind = torch.float64 if first.dtype == torch.float64 else torch.float32
    model.add_module(NAME, ValueHead(_width(model)).to(device=first.device, dtype=kind))
    return model


def _width(model: Any) -> int:
    """Return the width of the hidden states that go into the model's own head; in OPT it is not the layers'."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    layer = base.get_output_embeddings()
    layer = getattr(layer, "original_module", layer)  # peft's copy of a tied layer has its sizes the wrong way round
    return int(getattr(layer, "in_features", None) or base.config.get_text_config().hidden_size)


def head_of(model: Any) -> ValueHead:
    """Return the head that `attach` gave to the model."""
    head = getattr(model, NAME)
    assert isinstance(head, ValueHead)
    return head


@contextmanager
def apart(model: Any) -> Iterator[None]:
    """Take the head off while open, so that the model is saved and loaded as one that never had it."""
    head = model._modules.pop(NAME, None)
    try:
        yield
    finally:
        if head is not None:
            model._modules[NAME] = head


# Files


def save(model: Any, folder: Path, file: str = FILE) -> None:
    """Write the head beside the model's own files; under FILE it makes them a reward model."""
    tensors = {f"{NAME}.{key}": value.detach().cpu().contiguous() for key, value in head_of(model).state_dict().items()}
    save_file(tensors, str(folder / file))


def load(model: Any, folder: Path, file: str = FILE) -> None:
    """Read the weights of the model's head; raises ModelError where they are missing or of another model."""
    head = head_of(model)
    found = read_head(folder, file)
    if found.summary.in_features != head.summary.in_features:
        raise ModelError(
            f"the value head in {folder} is for hidden states of width {found.summary.in_features}, this model's have "
            f"{head.summary.in_features}",
            "it belongs to another model",
        )
    head.load_state_dict(found.state_dict())


def read_head(folder: Path, file: str = FILE) -> ValueHead:
    """Return the head that lies in `folder`, frozen, on the CPU. Raises ModelError."""
    path = folder / file
    if not path.is_file():
        raise ModelError(f"{folder} has no {file}: it is no reward model", "train one with stage: rm")
    try:
        tensors = {key.removeprefix(f"{NAME}."): value for key, value in load_file(str(path)).items()}
        weight = tensors["summary.weight"]
        head = ValueHead(int(weight.shape[1])).to(torch.promote_types(weight.dtype, torch.float32))
        head.load_state_dict(tensors)
    except (OSError, SafetensorError, KeyError, IndexError, RuntimeError) as error:
        raise ModelError(f"{path} cannot be read as a value head: {clean_line(repr(error))[:200]}") from error
    return head.requires_grad_(False)


# Scores


def closing(ids: Sequence[int]) -> Row:
    """Return a row whose one read position is the last token of `ids`.

    The model is read before a labelled token, so one is put behind; it never goes through the model.
    """
    return {"input_ids": [*ids, ids[-1]], "labels": [*[IGNORED] * len(ids), ids[-1]]}


def last(model: Any, path: ModelPath, groups: Sequence[Sequence[Row]], head: ValueHead) -> tuple[Tensor, Reading]:
    """Return the head's number at the last token of every sequence (sequences,), group by group, in one forward.

    groups: rows of which only the ids count; those of a group share the computation of their common beginning.
    """
    reading = path.read(model, [[closing(row["input_ids"]) for row in group] for group in groups])
    return head(reading.hidden), reading
