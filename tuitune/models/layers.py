"""Where a model keeps its transformer layers, its embeddings and its head: found by structure, not by names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from tuitune.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from transformers import PreTrainedConfig


def text_config(model: nn.Module) -> PreTrainedConfig:
    """Return the part of the model's config that describes its language model."""
    config: Any = model.config
    found: PreTrainedConfig = config.get_text_config()
    return found


def decoder_layers(model: nn.Module) -> tuple[str, nn.ModuleList]:
    """Return the list of transformer layers and its name in `model`. Raises ModelError where there is none.

    It is the outermost list as long as the config says; of several, or where the config says nothing, the one with the
    most weights.
    """
    wanted = getattr(text_config(model), "num_hidden_layers", None)
    found = list(_outermost(model, ""))
    fitting = [each for each in found if len(each[1]) == wanted] or found
    if not fitting:
        raise ModelError(
            "this model has no list of layers", "choose a method that does not go by layers, such as lora or full"
        )
    return max(fitting, key=lambda each: sum(p.numel() for p in each[1].parameters()))


def _outermost(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.ModuleList]]:
    for name, child in module.named_children():
        if isinstance(child, nn.ModuleList) and len(child):
            yield prefix + name, child
        else:
            yield from _outermost(child, f"{prefix}{name}.")


def tables_of(model: nn.Module) -> list[nn.Parameter]:
    """Return the weights of embeddings and head, each once (they may be tied), with the head's bias if it has one."""
    find: Any = getattr(model, "get_output_embeddings", None)
    head: Any = find() if find is not None else None
    modules = [m for m in model.modules() if isinstance(m, nn.Embedding) or m is head]
    return list({id(p): p for m in modules for p in m.parameters(recurse=False)}.values())
