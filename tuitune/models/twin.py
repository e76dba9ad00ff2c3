"""A second model on the weights of a first: modules of its own, so that an adapter on one is none on the other."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


def twin(model: Any) -> Any:
    """Return a copy of a model's modules whose weights are the memory of the first one's.

    What replaces a weight of the twin (a start taken out of it, a merge into new numbers) leaves the first as it is;
    only writing into a weight in place would change both. Raises what copying raises where modules hold what cannot be
    copied, such as handles of a kernel.
    """
    memo: dict[int, object] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            memo[id(parameter)] = _shared(parameter)
        memo.update({id(buffer): buffer for buffer in module.buffers(recurse=False)})
        memo.update({id(held): held for held in _quantised_state(module)})
    return copy.deepcopy(model, memo)


def _shared(parameter: nn.Parameter) -> nn.Parameter:
    # A parameter of a library's own kind carries its state with it and is only ever replaced as a whole.
    if type(parameter) is not nn.Parameter:
        return parameter
    return nn.Parameter(parameter.data, requires_grad=parameter.requires_grad)


def _quantised_state(module: Any) -> list[object]:
    """Return what a layer of bitsandbytes keeps beside its weight, which belongs to the weight."""
    found: list[object] = [getattr(module, "quant_state", None)]
    state = getattr(module, "state", None)
    if state is not None and hasattr(state, "CB"):
        if getattr(module.weight, "CB", None) is not None:
            module.init_8bit_state()  # else the first of the two to run would take it from the weight
        found += [state.CB, state.SCB]
    return [each for each in found if each is not None]


def memory_of(*models: Any) -> int:
    """Return the bytes of all weights and buffers of models, what they share counted once."""
    blocks: dict[int, int] = {}
    for model in models:
        for tensor in _tensors(model):
            storage = tensor.untyped_storage()
            blocks[storage.data_ptr()] = storage.nbytes()
    return sum(blocks.values())


def _tensors(model: Any) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]
