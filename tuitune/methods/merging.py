"""An adapter into the weights it stands beside: computed in fp32, rounded once, tied weights kept right."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import nn


def into_weights(loaded: Any) -> Any:
    """Return the model below a loaded adapter of peft's, with the adapter in its weights.

    Raises what peft raises where the adapter is no change of weights.
    """
    _settle_tied(loaded)
    with warnings.catch_warnings(action="ignore"):  # peft warns of tied weights, which are settled
        return loaded.merge_and_unload()


def _settle_tied(loaded: Any) -> None:
    """Keep a weight that is embedding and head at once from getting a change twice, or one that is for one of them.

    peft adds the change of both layers to the one tensor below them; adapters that were trained tied are the same
    change twice. Where only one of the two has an adapter, they come apart, as they did in training.
    """
    model = loaded.get_base_model()
    embedding, head = model.get_input_embeddings(), model.get_output_embeddings()
    shared = _weight(head)
    if shared is None or shared is not _weight(embedding):
        return
    adapted = [layer for layer in (embedding, head) if hasattr(layer, "merged_adapters")]
    if len(adapted) == 2 and getattr(loaded.active_peft_config, "ensure_weight_tying", False):
        head.merged_adapters.extend(loaded.active_adapters)
    elif adapted:
        below = head.get_base_layer() if hasattr(head, "get_base_layer") else head
        below.weight = nn.Parameter(shared.detach().clone(), requires_grad=False)
        model.config.tie_word_embeddings = False


def _weight(layer: Any) -> torch.Tensor | None:
    below = layer.get_base_layer() if hasattr(layer, "get_base_layer") else layer
    weight = getattr(below, "weight", None)
    return weight if isinstance(weight, torch.Tensor) else None
