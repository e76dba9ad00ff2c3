"""NEFTune (Jain et al., arXiv 2310.05914): uniform noise on the embeddings of training texts.

The paper's scale is alpha / sqrt(L * d) with L the length of a text and d the width of an embedding. L is that of each
text by itself here, not that of the row that several of them share, nor of a padded one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from tuitune.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn


class Noise:
    """A hook on the input embedding that does nothing but inside `over`, which the paths open around training texts."""

    def __init__(self, embedding: nn.Module, alpha: float) -> None:
        self.alpha = alpha
        self._lengths: Tensor | None = None
        self._handle = embedding.register_forward_hook(self._add)

    @classmethod
    def on(cls, model: Any, alpha: float) -> Noise | None:
        """Return the noise on a model's input embedding, None if `alpha` is 0. Raises ModelError."""
        if not alpha:
            return None
        try:
            return cls(model.get_input_embeddings(), alpha)
        except (AttributeError, NotImplementedError) as error:
            raise ModelError(
                "this model does not say where its input embedding is", "remove neftune_noise_alpha"
            ) from error

    def remove(self) -> None:
        """Take the hook off."""
        self._handle.remove()

    @contextmanager
    def over(self, lengths: Tensor) -> Iterator[None]:
        """Add noise inside; lengths: of the text that each token belongs to, (batch, tokens) or (batch, 1)."""
        self._lengths = lengths
        try:
            yield
        finally:
            self._lengths = None

    def _add(self, module: nn.Module, inputs: Any, output: Tensor) -> Tensor | None:
        if self._lengths is None:
            return None
        scale = self.alpha / (self._lengths * output.shape[-1]).to(torch.float64).sqrt()
        noise = torch.empty_like(output).uniform_(-1, 1)
        return output + noise * scale[..., None].to(output.dtype)


def flat_lengths(texts: Sequence[int], computed: Sequence[int], device: torch.device) -> Tensor:
    """Return the length of the text that each token of a flat row belongs to, (1, tokens).

    texts: tokens of each text. computed: how many of them are in the row.
    """
    whole, parts = torch.tensor(texts), torch.tensor(computed)
    return whole.repeat_interleave(parts)[None].to(device)
