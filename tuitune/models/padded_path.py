"""The way for models whose layers look at neighbours: rows side by side, padded on the right to the longest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from tuitune.models.flat import IGNORED, needed
from tuitune.models.neftune import Noise
from tuitune.models.path import Ids
from tuitune.models.way import Laid, Way

if TYPE_CHECKING:
    from torch import Tensor

    from tuitune.data.rows import Row
    from tuitune.models.head import Head


class PaddedPath(Way):
    """Rows side by side, padded on the right to the longest: for models whose layers look at neighbours."""

    name = "padded"

    def __init__(self, head: Head, device: torch.device, pad: int, noise: Noise | None = None) -> None:
        super().__init__(head, device, noise)
        self._pad = pad

    def size(self, rows: Ids, labels: Ids) -> int:
        """Return the tokens of the rectangle."""
        return self.combined([max(1, needed(mask)) for mask in labels], 0)

    def shared(self, rows: Ids, labels: Ids) -> int:
        """Return 0: rows side by side share nothing."""
        return 0

    def combined(self, sizes: Sequence[int], shared: int) -> int:
        """Return the area of the rectangle."""
        return len(sizes) * max(sizes)

    def sizes(self, group: Sequence[Row]) -> list[int]:
        """Return the width of each sequence."""
        return [max(1, needed(row["labels"])) for row in group]

    def on(self, head: Head) -> PaddedPath:
        """Return this way for a model with another head; it draws no noise."""
        return PaddedPath(head, self._device, self._pad)

    def _laid(self, groups: Sequence[tuple[Ids, Ids]]) -> Laid:
        rows, labels = [row for ids, _ in groups for row in ids], [mask for _, masks in groups for mask in masks]
        inputs, targets = self._rectangle(rows, labels)
        kept = targets != IGNORED
        owner = kept.nonzero()[:, 0]
        return Laid(inputs, lambda said: said[kept], targets[kept], owner, len(rows), targets.numel())

    def _rectangle(self, rows: Ids, labels: Ids) -> tuple[dict[str, Any], Tensor]:
        """Return the keyword arguments of the model's forward, and the target of each position, both (rows, width)."""
        width = max(max(1, needed(mask)) for mask in labels)
        ids = torch.full((len(rows), width), self._pad)
        mask = torch.zeros(len(rows), width, dtype=torch.long)
        targets = torch.full((len(rows), width), IGNORED)
        for i, (row, label) in enumerate(zip(rows, labels, strict=True)):
            n = max(1, needed(label))
            ids[i, :n], mask[i, :n] = torch.tensor(row[:n]), 1
            following = torch.tensor(label[1 : n + 1])
            targets[i, : len(following)] = following
        inputs = {"input_ids": ids.to(self._device), "attention_mask": mask.to(self._device), "use_cache": False}
        return inputs, targets.to(self._device)

    def _spread(self, rows: Ids, labels: Ids) -> Tensor:
        return torch.tensor([[len(row)] for row in rows], device=self._device)
