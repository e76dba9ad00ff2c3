"""Where the head is the embedding, one adapter for both: one pair of matrices, learnt once.

peft gives such a head two parameters of its own on the memory of the embedding's. An optimizer takes them for further
weights: each has half of the gradient and moments of its own, and the shared numbers move twice in every step.
"""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn


class Mirror(nn.Module):
    """A matrix of the head's adapter that is one of the embedding's, turned over; it has no parameter of its own."""

    bias = None

    def __init__(self, source: nn.Parameter) -> None:
        super().__init__()
        self._source = (source,)  # not registered: it is the embedding's

    @property
    def weight(self) -> Tensor:
        """The matrix, (outputs, inputs)."""
        return self._source[0].T

    def forward(self, inputs: Tensor) -> Tensor:
        """Return inputs (..., in) times the matrix, (..., out)."""
        return F.linear(inputs, self.weight)

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        # Others load both pairs.
        destination[f"{prefix}weight"] = self.weight if keep_vars else self.weight.detach().contiguous()

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        """Leave it to the embedding."""


def learn_once(model: Any) -> None:
    """Give a peft model whose head and embedding share their adapter one pair of matrices in place of two."""
    base = model.get_base_model()
    embedding, head = base.get_input_embeddings(), base.get_output_embeddings()
    if not (model.active_peft_config.ensure_weight_tying and hasattr(embedding, "lora_embedding_A")):
        return
    for adapter, a in embedding.lora_embedding_A.items():
        if adapter in getattr(head, "lora_A", {}):
            # The embedding's inputs are the head's outputs, so each matrix takes the other's place.
            head.lora_A[adapter], head.lora_B[adapter] = Mirror(embedding.lora_embedding_B[adapter]), Mirror(a)
