"""What learns in a model that is ready: how many numbers, and the tensors as the memory formulas take them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from tuitune.fit.count import Count
from tuitune.fit.layers import Block

if TYPE_CHECKING:
    from collections.abc import Iterator


def count_of(model: nn.Module) -> Count:
    """Return how many numbers learn and how many the model has; packed weights count as what they stand for."""
    seen: set[int] = set()
    total = trained = 0
    for module in model.modules():
        packed = _packed(module)
        total += packed
        for name, parameter in module.named_parameters(recurse=False):
            if id(parameter) in seen:
                continue
            seen.add(id(parameter))
            if not packed or name == "bias":
                total += parameter.numel()
            trained += parameter.numel() if parameter.requires_grad else 0
    return Count(trained, total)


def blocks_of(model: nn.Module) -> list[Block]:
    """Return the tensors that learn, with their names and what is an embedding's."""
    tables = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters(recurse=False)}
    return [Block(tuple(p.shape), embedding=id(p) in tables, name=name) for name, p in _learning(model)]


def _learning(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, p) for name, p in model.named_parameters() if p.requires_grad)


def _packed(module: Any) -> int:
    """Return how many weights a layer of a quantisation library stands for; 0 where they are plain numbers."""
    if not (hasattr(module, "in_features") and hasattr(module, "out_features")) or any(True for _ in module.children()):
        return 0
    weight = module._parameters.get("weight")
    plain = weight is not None and weight.is_floating_point()
    return 0 if plain else int(module.in_features) * int(module.out_features)
