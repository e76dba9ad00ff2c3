"""LLaMA Pro (Wu et al., arXiv 2401.02415, section 3.2): blocks are inserted that change nothing until they are trained.

After every group of blocks stands a copy of its last one whose two output projections are zero: with the residual
connections around them that is the identity, so the model answers as before, to the bit.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from tuitune.errors import ModelError
from tuitune.models.layers import decoder_layers, text_config

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from tuitune.recipe import Recipe

# Blocks of the form x + o_proj(...), x + down_proj(...), nothing after the projection that would not stay zero.
FAMILIES = ("llama", "mistral", "qwen2", "qwen3", "gemma", "phi3", "granite")
_OUTPUTS = ("o_proj", "down_proj")
_RECORD = "inserted_blocks"  # in config.json, so that whoever trains the model knows which blocks are the new ones


def expand(model: PreTrainedModel, blocks: int) -> PreTrainedModel:
    """Insert `blocks` identity blocks evenly and return the model; raises ModelError where that cannot be done."""
    config = text_config(model)
    if config.model_type not in FAMILIES:
        raise ModelError(
            f"blocks cannot be inserted into a model of the family {config.model_type}",
            f"LLaMA Pro is for {', '.join(FAMILIES)} (Yi is llama here)",
        )
    if getattr(config, "mixture_of_depths", None):
        raise ModelError(
            "blocks cannot be inserted into a model with Mixture-of-Depths", "expand the model that it was made from"
        )
    if getattr(config, _RECORD, None):
        raise ModelError(
            "this model has inserted blocks already", "remove expand_blocks, or name the model that it was made from"
        )
    path, layers = decoder_layers(model)
    stride = _group(len(layers), blocks)
    grown: list[nn.Module] = []
    for number, layer in enumerate(layers, start=1):
        grown.append(layer)
        if number % stride == 0:
            grown.append(_identity(layer))
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, nn.ModuleList(grown))
    _renumber(grown)
    _describe(config, len(layers), stride)
    return model


def _group(depth: int, blocks: int) -> int:
    if blocks < 1 or depth % blocks:
        fitting = [n for n in range(1, depth + 1) if depth % n == 0]
        raise ModelError(
            f"{blocks} blocks cannot be spread evenly over {depth} layers",
            f"take one of {', '.join(map(str, fitting))}",
        )
    return depth // blocks


@torch.no_grad()
def _identity(layer: nn.Module) -> nn.Module:
    made = copy.deepcopy(layer)
    outputs = [m for name, m in made.named_modules() if name.rpartition(".")[2] in _OUTPUTS]
    tensors = [parameter for module in outputs for parameter in module.parameters()]
    if len(outputs) != len(_OUTPUTS) or not all(tensor.is_floating_point() for tensor in tensors):
        raise ModelError(
            "the output projections of this model's blocks cannot be set to zero",
            "insert the blocks before quantising: tuitune expand MODEL OUT --blocks N",
        )
    for tensor in tensors:
        tensor.zero_()
    return made


def _renumber(layers: list[nn.Module]) -> None:
    # The key-value cache is found by this number.
    for number, layer in enumerate(layers):
        for module in layer.modules():
            if hasattr(module, "layer_idx"):
                module.layer_idx = number  # type: ignore[assignment]


def _describe(config: Any, depth: int, stride: int) -> None:
    for key, value in vars(config).items():
        if isinstance(value, list) and len(value) == depth:  # layer_types and whatever else is said layer by layer
            setattr(config, key, [x for i, x in enumerate(value, start=1) for _ in range(1 + (i % stride == 0))])
    blocks = depth // stride
    config.num_hidden_layers = depth + blocks
    setattr(config, _RECORD, _ends_of_groups(depth + blocks, blocks))


def _ends_of_groups(depth: int, blocks: int) -> list[int]:
    stride = depth // blocks
    return list(range(stride - 1, depth, stride))


def new_blocks(model: PreTrainedModel, recipe: Recipe) -> list[int]:
    """Return the numbers of the inserted blocks, from 0: as config.json records them, or one at the end of each group.

    The second is LLaMA-Factory's rule, for models that other tools expanded. Raises ModelError.
    """
    config, asked = text_config(model), "freeze_trainable_layers" in recipe.asked
    known: list[int] | None = getattr(config, _RECORD, None)
    count, depth = recipe.freeze_trainable_layers, len(decoder_layers(model)[1])
    if known:
        if asked and count != len(known):
            raise ModelError(
                f"freeze_trainable_layers is {count}, but the model has {len(known)} inserted blocks",
                "LLaMA Pro trains all of them: remove freeze_trainable_layers",
            )
        return list(known)
    if not asked:
        raise ModelError(
            "the model does not say which of its blocks were inserted",
            "set expand_blocks to insert some now, or, where another tool did, freeze_trainable_layers to their number",
        )
    if count < 1 or depth % count:
        raise ModelError(
            f"{depth} layers are not groups that each end with one of {count} inserted blocks",
            "set freeze_trainable_layers to the number of inserted blocks; it divides the number of layers",
        )
    return _ends_of_groups(depth, count)


def inserted(model: PreTrainedModel, recipe: Recipe) -> tuple[str, ...]:
    """Return how the names of modules in inserted blocks begin; nothing where the recipe does not ask for LLaMA Pro."""
    if not recipe.use_llama_pro:
        return ()
    path, _ = decoder_layers(model)
    return tuple(f"{path}.{number}." for number in new_blocks(model, recipe))
