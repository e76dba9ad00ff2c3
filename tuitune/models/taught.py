"""How routers learn: their own loss beside that of the model, whatever way the rows go through it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from tuitune.models.depths import routed_layers
from tuitune.models.flat import labelled
from tuitune.models.losses import PLAIN, Objective

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from tuitune.data.rows import Row
    from tuitune.models.head import Head
    from tuitune.models.paths import Ids, Path, Reading, Score
    from tuitune.models.reference import Reference

_AUXILIARY = 0.1  # weight of the routers' own loss


class TaughtPath:
    """A way through a routed model that adds the gradient of the routers' own loss; the loss it tells is the model's.

    That loss (arXiv 2404.02258, section 3.5) is the mean binary cross entropy of a sequence's tokens, weighted by its
    labelled tokens, so that it does not depend on how a step was cut.
    """

    def __init__(self, plain: Path) -> None:
        self._plain = plain
        self.name, self.head = plain.name, plain.head

    def size(self, rows: Ids, labels: Ids) -> int:
        """Return the number of tokens that these rows make the model compute."""
        return self._plain.size(rows, labels)

    def shared(self, rows: Ids, labels: Ids) -> int:
        """Return how many tokens at the beginning of all rows are computed once."""
        return self._plain.shared(rows, labels)

    def combined(self, sizes: Sequence[int], shared: int) -> int:
        """Return the size of several rows from the sizes that each has alone."""
        return self._plain.combined(sizes, shared)

    def sizes(self, group: Sequence[Row]) -> list[int]:
        """Return the sizes that the sequences of a group have alone."""
        return self._plain.sizes(group)

    def read(self, model: nn.Module, groups: Sequence[Sequence[Row]]) -> Reading:
        """Run the model; its routers learn nothing from it."""
        try:
            return self._plain.read(model, groups)
        finally:
            for layer in routed_layers(model):
                layer.lessons.clear()

    def on(self, head: Head) -> Path:
        """Return the plain way for a model with another head: what does not learn is not taught."""
        return self._plain.on(head)

    def score(
        self,
        model: nn.Module,
        rows: Ids,
        labels: Ids,
        objective: Objective = PLAIN,
        reference: Reference | None = None,
    ) -> Score:
        """Return the summed loss of the labelled tokens."""
        layers = routed_layers(model)
        try:
            scored = self._plain.score(model, rows, labels, objective, reference)
            if not all(layer.lessons for layer in layers):
                return scored
            lessons = torch.stack([torch.cat(layer.lessons) for layer in layers]).mean(0)
            counts = torch.tensor([labelled(mask) for mask in labels], device=lessons.device)
            own = _AUXILIARY * (lessons * counts).sum().to(scored.loss.dtype)
            return replace(scored, loss=scored.loss + (own - own.detach()))
        finally:
            for layer in layers:
                layer.lessons.clear()
