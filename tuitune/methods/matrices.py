"""The matrices whose gradient GaLore and APOLLO project, by name, and the groups of such an optimizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from torch import nn
from torch.nn.modules.conv import _ConvNd
from transformers.pytorch_utils import Conv1D

from tuitune.errors import ModelError
from tuitune.methods.adamw import Group, by_decay
from tuitune.text import clean_line

if TYPE_CHECKING:
    from transformers import TrainingArguments


def targets(model: nn.Module, names: Sequence[str], key: str) -> list[nn.Parameter]:
    """Return the trainable matrices of the layers that `names` mean: each is a part of a module's name.

    `all` means every linear layer but the head, and the experts that a model keeps in one tensor. Raises ModelError,
    filed under the recipe's `key`, for a name that no such layer has.
    """
    found = _matrices(model)
    inside = {id(module) for module in getattr(model, "base_model", model).modules()}
    head = getattr(model, "get_output_embeddings", lambda: None)()
    if "all" in names:
        chosen = [weight for _, module, weight in found if module is not head and id(module) in inside]
    else:
        for name in names:
            if not any(name in path for path, _, _ in found):
                raise _unknown(name, [path for path, _, _ in found], key)
        chosen = [weight for path, _, weight in found if any(name in path for name in names)]
    learning = {id(weight): weight for weight in chosen if weight.requires_grad}
    if not learning:
        raise ModelError(
            f"{key}: {', '.join(names)} means no layer that is trained", "name layers that learn, or set it to all"
        )
    return list(learning.values())


def _matrices(model: nn.Module) -> list[tuple[str, nn.Module, nn.Parameter]]:
    found: list[tuple[str, nn.Module, nn.Parameter]] = []
    for path, module in model.named_modules():
        weight = module._parameters.get("weight")
        if isinstance(module, nn.Linear | Conv1D) and weight is not None:
            found.append((path, module, weight))
        elif not isinstance(module, _ConvNd):  # whose kernels have three dimensions and are no stack of matrices
            stacks = [(name, p) for name, p in module.named_parameters(recurse=False) if p.dim() == 3]
            found += [(f"{path}.{name}", module, p) for name, p in stacks]
    return found


def _unknown(name: str, paths: Sequence[str], key: str) -> ModelError:
    split = [[part for part in path.split(".") if not part.isdigit()] for path in paths]
    # `model` and `layers` are in the name of every layer: as valid as `all`, and no help.
    common = set.intersection(*(set(parts[:-1]) for parts in split if len(parts) > 1)) if split else set()
    valid = sorted({part for parts in split for part in parts} - common)
    return ModelError(
        f"{key}: no layer of this model has {clean_line(name)!r} in its name",
        f"valid are parts of names such as {', '.join(valid)}; all means every linear layer but the head",
    )


def groups(
    model: nn.Module, args: TrainingArguments, chosen: Sequence[nn.Parameter], *, eight_bit: bool
) -> list[Group]:
    """Return all trainable parameters in groups by weight decay, with `projected` and `eight_bit` set in each.

    Embeddings keep states of 32 bits, as bitsandbytes advises and transformers does.
    """
    matrices = {id(p) for p in chosen}
    tables = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()} - matrices
    made = []
    for members, kind in (
        (matrices, {"projected": True, "eight_bit": eight_bit}),
        (tables, {"projected": False, "eight_bit": False}),
        (
            {id(p) for p in model.parameters()} - matrices - tables,
            {"projected": False, "eight_bit": eight_bit},
        ),
    ):
        made += [group | kind for group in by_decay(model, args, _among(members))]
    return made


def _among(members: set[int]) -> Callable[[str, nn.Parameter], bool]:
    return lambda name, p: id(p) in members
