"""A model whose adapter began with a part of the weights, as it was before, and its adapter as others load it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import torch

from tuitune.errors import ModelError
from tuitune.methods.startpoint import ONLY_OURS, adapter_of, of, on

if TYPE_CHECKING:
    from torch import Tensor

    from tuitune.methods.lowrank import Pair
    from tuitune.methods.startpoint import StartPoint
    from tuitune.recipe import Recipe


@contextmanager
def original(model: Any) -> Iterator[None]:
    """Let a model with an adapter be what it was before any training, while open.

    Where the base gave a part of itself to the adapter, the adapter goes back to its start instead of being switched
    off: both together are the original within rounding (with LoftQ: as near to it as quantisation comes). Raises
    ModelError for a model without an adapter.
    """
    if not hasattr(model, "disable_adapter"):
        raise ModelError("there is no adapter that could be switched off: this model was changed as a whole")
    point = of(model)
    with ExitStack() as stack:
        if point is None:
            stack.enter_context(model.disable_adapter())
        else:
            _at_start(model, point, stack)
        yield


class Beginning:
    """What the trained parameters of a model were when this was made; opened, the model is that again.

    For an adapter that was trained before: switched off, it would not be the model that the run began with.
    """

    def __init__(self, model: Any) -> None:
        self._kept = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}

    @contextmanager
    def __call__(self, model: Any) -> Iterator[None]:
        """Let `model` be what it was, while open."""
        with ExitStack() as stack:
            for name, parameter in model.named_parameters():
                if name in self._kept:
                    _set(stack, parameter, "data", self._kept[name])
            yield


def _at_start(model: Any, point: StartPoint, stack: ExitStack) -> None:
    """Put every adapter to its start, the others and modules trained whole out of the way; `stack` brings them back."""
    from peft.tuners.lora import LoraLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    for name, module in model.get_base_model().named_modules():
        if isinstance(module, LoraLayer) and name in point.start:
            adapter = adapter_of(module)
            a, b = module.lora_A[adapter].weight, module.lora_B[adapter].weight
            pair = on(point.start[name], a)
            for parameter, start in ((a, pair.a), (b, pair.b)):
                _set(stack, parameter, "data", start.to(parameter.dtype))
            _set(stack, module.lora_dropout[adapter], "training", False)
        elif isinstance(module, LoraLayer | AuxiliaryTrainingWrapper):
            # Not through `enable_adapters`, which makes everything learn when it switches on again.
            _set(stack, module, "_disable_adapters", True)


def _set(stack: ExitStack, thing: Any, attribute: str, value: object) -> None:
    stack.callback(setattr, thing, attribute, getattr(thing, attribute))
    setattr(thing, attribute, value)


def only_plain(model: Any, recipe: Recipe, say: Callable[[str], None]) -> bool:
    """Whether the result is to be a plain LoRA on the original model, because the recipe or the file format says so."""
    point = of(model)
    if point is None or point.kind != "pissa":
        return False
    if recipe.pissa_init and recipe.pissa_convert:
        return True
    if model.active_peft_config.init_lora_weights != ONLY_OURS:
        return False
    rank = model.active_peft_config.r
    say(
        f"PiSSA's fast start cannot be found again by other programs: the result is saved as a plain LoRA of rank "
        f"{2 * rank}, as with pissa_convert; pissa_iter: -1 keeps rank {rank}"
    )
    return True


def save_plain(model: Any, folder: str) -> None:
    """Save the adapter as a plain LoRA of twice the rank, which any program puts on the original model.

    W - s B0 A0 + s B A = W + s [B, -B0] [A; A0] (PiSSA, section 3): the scale s stays, alpha grows with the rank.
    """
    from peft.tuners.lora import LoraLayer

    config, point = model.active_peft_config, of(model)
    assert point is not None
    tensors: dict[str, Tensor] = {}
    for name, layer in model.get_base_model().named_modules():
        if isinstance(layer, LoraLayer):
            tensors |= _doubled(f"base_model.model.{name}", layer, point.start.get(name))
    scale = config.lora_alpha / (math.sqrt(config.r) if config.use_rslora else config.r)
    with ExitStack() as stack:
        changes = {
            "r": 2 * config.r,
            "lora_alpha": scale * 2 * config.r,
            "use_rslora": False,
            "init_lora_weights": True,
        }
        for key, value in changes.items():
            _set(stack, config, key, value)
        model.save_pretrained(folder, state_dict={**model.state_dict(), **tensors})


def _doubled(path: str, layer: Any, start: Pair | None) -> dict[str, Tensor]:
    """Return the tensors of a layer's adapter with twice the rank, by their names in the model."""
    adapter = adapter_of(layer)
    if adapter in layer.lora_embedding_A:
        a, b = layer.lora_embedding_A[adapter].data, layer.lora_embedding_B[adapter].data
        names = f"{path}.lora_embedding_A.{adapter}", f"{path}.lora_embedding_B.{adapter}"
    else:
        a, b = layer.lora_A[adapter].weight.data, layer.lora_B[adapter].weight.data
        names = f"{path}.lora_A.{adapter}.weight", f"{path}.lora_B.{adapter}.weight"
    if start is None:  # nothing to take back
        more_a, more_b = torch.zeros_like(a), torch.zeros_like(b)
    else:
        pair = on(start, a)
        more_a, more_b = pair.a.to(a.dtype), -pair.b.to(b.dtype)
    return {names[0]: torch.cat([a, more_a]), names[1]: torch.cat([b, more_b], 1)}
