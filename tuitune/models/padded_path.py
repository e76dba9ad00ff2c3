"""The way for models whose layers look at neighbours: rows side by side, padded on the right to the longest."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch

from tuitune.models.flat import IGNORED, labelled, needed
from tuitune.models.losses import PLAIN, Objective
from tuitune.models.neftune import Noise
from tuitune.models.path import Ids, Reading, Score

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tuitune.data.rows import Row
    from tuitune.models.head import Head
    from tuitune.models.reference import Reference


class PaddedPath:
    """Rows side by side, padded on the right to the longest: for models whose layers look at neighbours."""

    name = "padded"

    def __init__(self, head: Head, device: torch.device, pad: int, noise: Noise | None = None) -> None:
        self.head, self._device, self._pad, self._noise = head, device, pad, noise

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

    def read(self, model: nn.Module, groups: Sequence[Sequence[Row]]) -> Reading:
        """Run the model over all sequences side by side."""
        rows = [row for group in groups for row in group]
        inputs, targets = self._rectangle([row["input_ids"] for row in rows], [row["labels"] for row in rows])
        with self._noisy(model, [row["input_ids"] for row in rows]):
            out, hidden = self.head.rows_and_hidden(model, inputs)
        kept = targets != IGNORED
        owner = kept.nonzero()[:, 0]
        picked = out[kept]
        states = picked if hidden is out else hidden[kept]
        return Reading(picked, states, targets[kept], owner, len(rows), targets.numel(), self.head)

    def on(self, head: Head) -> PaddedPath:
        """Return this way for a model with another head; it draws no noise."""
        return PaddedPath(head, self._device, self._pad)

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

    def score(
        self,
        model: nn.Module,
        rows: Ids,
        labels: Ids,
        objective: Objective = PLAIN,
        reference: Reference | None = None,
    ) -> Score:
        """Return the summed loss."""
        inputs, targets = self._rectangle(rows, labels)
        kept = targets != IGNORED
        anchor = self.head.anchor(reference, model, inputs, lambda x: x[kept])
        with self._noisy(model, rows):
            hidden = self.head.rows(model, inputs)
        scored = self.head.loss(hidden[kept], targets[kept], objective, anchor)
        return Score(scored.loss, targets.numel(), sum(map(labelled, labels)), scored.correct)

    def _noisy(self, model: nn.Module, rows: Ids) -> AbstractContextManager[None]:
        if self._noise is None or not model.training:
            return nullcontext()
        return self._noise.over(torch.tensor([[len(row)] for row in rows], device=self._device))
