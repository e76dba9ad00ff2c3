"""Freeze tuning: some layers of the model learn, all else stays bit for bit as it was loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from tuitune.errors import ModelError
from tuitune.methods.full import Whole
from tuitune.models.blocks import new_blocks
from tuitune.models.layers import decoder_layers
from tuitune.text import clean_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from transformers import PreTrainedModel

    from tuitune.recipe import Recipe


class Freeze(Whole):
    """The last layers, the first ones or LLaMA Pro's new ones learn in fp32; the others keep the loaded format."""

    name = "freeze"

    def prepare(self, model: PreTrainedModel, recipe: Recipe) -> nn.Module:
        """Choose what learns; raises ModelError for layers or modules that the model does not have."""
        path, layers = decoder_layers(model)
        chosen = new_blocks(model, recipe) if recipe.use_llama_pro else _ends(recipe, len(layers))
        inside = _inside(layers, chosen, recipe.freeze_trainable_modules)
        outside = _outside(model, path, recipe.freeze_extra_modules)
        model.requires_grad_(False)
        for parameter in (*inside, *outside):
            parameter.requires_grad_(True)
            if not recipe.pure_bf16 and parameter.dtype in (torch.bfloat16, torch.float16):
                parameter.data = parameter.data.float()
        return model


def _ends(recipe: Recipe, depth: int) -> Sequence[int]:
    """Return the numbers of the last layers, of the first ones if the count is negative."""
    count = recipe.freeze_trainable_layers
    if abs(count) > depth:
        raise ModelError(
            f"freeze_trainable_layers is {count}, but the model has {depth} layers",
            f"use at most {depth}, or finetuning_type: full",
        )
    return range(depth - count, depth) if count > 0 else range(-count)


def _inside(layers: nn.ModuleList, chosen: Sequence[int], names: Sequence[str]) -> list[nn.Parameter]:
    parameters = {i: dict(layers[i].named_parameters()) for i in chosen}
    if tuple(names) == ("all",):
        return [p for found in parameters.values() for p in found.values()]
    known = sorted({name for found in parameters.values() for name in found})
    _refuse_unknown("freeze_trainable_modules", names, known, lambda name: name.partition(".")[0], others=("all",))
    return [p for found in parameters.values() for name, p in found.items() if _named(name, names)]


def _outside(model: nn.Module, layers: str, names: Sequence[str]) -> list[nn.Parameter]:
    # The second name of a tied tensor counts too: `lm_head` means the embedding where both are one.
    found = {name: p for name, p in model.named_parameters(remove_duplicate=False) if not name.startswith(f"{layers}.")}
    _refuse_unknown("freeze_extra_modules", names, list(found), lambda name: name.split(".")[-2])
    return [p for name, p in found.items() if _named(name, names)]


def _named(parameter: str, names: Iterable[str]) -> bool:
    """Whether one of `names`, a module's name or a piece of its path, holds the parameter."""
    return any(f".{name}." in f".{parameter}" for name in names)


def _refuse_unknown(
    key: str, names: Sequence[str], known: Sequence[str], short: Callable[[str], str], others: tuple[str, ...] = ()
) -> None:
    strange = [name for name in names if not any(_named(parameter, [name]) for parameter in known)]
    if strange and known:
        valid = dict.fromkeys([*others, *map(short, known)])
        raise ModelError(
            f"{key} names {clean_line(', '.join(strange))}, which this model does not have",
            f"it has {', '.join(valid)}",
        )
