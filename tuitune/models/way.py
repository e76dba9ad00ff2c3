"""What both ways through a model do alike: rows are laid, they go through it, and what it says is picked out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tuitune.models.losses import PLAIN, Objective
from tuitune.models.path import Ids, Reading, Score

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from tuitune.data.rows import Row
    from tuitune.models.head import Head
    from tuitune.models.neftune import Noise
    from tuitune.models.reference import Reference


@dataclass(frozen=True)
class Laid:
    """Rows as they go through a model, N of their tokens labelled.

    inputs: keyword arguments of its forward. pick: takes what belongs to the labelled tokens (N, width) out of the
    forward's (batch, kept, width). targets, owner, sequences, tokens: see `Reading`.
    """

    inputs: dict[str, Any]
    pick: Callable[[Tensor], Tensor]
    targets: Tensor
    owner: Tensor
    sequences: int
    tokens: int


class Way(ABC):
    """A `Path` but for how rows are laid and counted. noise: NEFTune's."""

    name: str

    def __init__(self, head: Head, device: torch.device, noise: Noise | None) -> None:
        self.head, self._device, self._noise = head, device, noise

    def read(self, model: nn.Module, groups: Sequence[Sequence[Row]]) -> Reading:
        """Run the model over groups of sequences."""
        parts = [([row["input_ids"] for row in group], [row["labels"] for row in group]) for group in groups]
        laid = self._laid(parts)
        rows, labels = [row for ids, _ in parts for row in ids], [mask for _, masks in parts for mask in masks]
        with self._call(), self._training(model, laid, rows, labels):
            out, hidden = self.head.rows_and_hidden(model, laid.inputs)
        picked = laid.pick(out)
        states = picked if hidden is out else laid.pick(hidden)
        return Reading(picked, states, laid.targets, laid.owner, laid.sequences, laid.tokens, self.head)

    def score(
        self,
        model: nn.Module,
        rows: Ids,
        labels: Ids,
        objective: Objective = PLAIN,
        reference: Reference | None = None,
    ) -> Score:
        """Return the summed loss of the labelled tokens; reference: for an anchored objective."""
        laid = self._laid([(rows, labels)])
        with self._call():
            anchor = self.head.anchor(reference, model, laid.inputs, laid.pick)
            with self._training(model, laid, rows, labels):
                hidden = self.head.rows(model, laid.inputs)
        scored = self.head.loss(laid.pick(hidden), laid.targets, objective, anchor)
        return Score(scored.loss, laid.tokens, len(laid.targets), scored.correct)

    @abstractmethod
    def _laid(self, groups: Sequence[tuple[Ids, Ids]]) -> Laid:
        """Return groups of sequences, each the rows and their labels, as they go through the model."""

    @abstractmethod
    def _spread(self, rows: Ids, labels: Ids) -> Tensor:
        """Return the lengths over which the noise of the rows is spread, as `Noise.over` takes them."""

    def _call(self) -> AbstractContextManager[object]:
        """Open what a forward needs, the reference's too."""
        return nullcontext()

    def _training(self, model: nn.Module, laid: Laid, rows: Ids, labels: Ids) -> AbstractContextManager[object]:
        """Open what only a model that trains meets: noise on its embeddings."""
        if self._noise is None or not model.training:
            return nullcontext()
        return self._noise.over(self._spread(rows, labels))
