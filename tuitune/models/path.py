"""What a way through a model is: how it counts tokens, and what it gives back of the rows that went through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch

from tuitune.models.head import Head
from tuitune.models.losses import PLAIN, Objective

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tuitune.data.rows import Row
    from tuitune.models.logprobs import TokenScores
    from tuitune.models.reference import Reference

Ids = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Score:
    """Summed loss over the labelled tokens, the work it took, and how many targets were the likeliest token."""

    loss: Tensor
    tokens: int
    labelled: int
    correct: Tensor


@dataclass(frozen=True)
class Reading:
    """What a model says of N labelled tokens, sequence by sequence in the order given.

    rows (N, width): hidden states before the head, or logits; hidden (N, H): always the hidden states; both of the
    position before each token. targets (N,): the tokens. owner (N,): their sequence, counted from 0 over all groups.
    sequences: how many there are. tokens: that went through the model.
    """

    rows: Tensor
    hidden: Tensor
    targets: Tensor
    owner: Tensor
    sequences: int
    tokens: int
    head: Head

    def scores(self, temperature: float = 1.0, *, entropy: bool = True) -> TokenScores:
        """Return the log probability of each token (N,), with its gradient; entropy: whether that is wanted too."""
        return self.head.scores(self.rows, self.targets, temperature, entropy=entropy)

    def sums(self, values: Tensor) -> Tensor:
        """Return the sum of values (N,) over each sequence (sequences,), in float64: adding one by one rounds."""
        total = torch.zeros(self.sequences, dtype=torch.float64, device=values.device)
        return total.index_add(0, self.owner, values.double())

    @property
    def lengths(self) -> Tensor:
        """Labelled tokens of each sequence, (sequences,)."""
        return torch.bincount(self.owner, minlength=self.sequences)


class Path(Protocol):
    """A way to compute the loss of several rows in one forward; `head` is the end of it."""

    name: str
    head: Head

    def sizes(self, group: Sequence[Row]) -> list[int]:
        """Return the sizes that the sequences of a group have alone, for `combined`."""
        ...

    def read(self, model: nn.Module, groups: Sequence[Sequence[Row]]) -> Reading:
        """Run the model over groups of sequences; the common beginning of a group is computed once where possible."""
        ...

    def on(self, head: Head) -> Path:
        """Return this way for a model with another head (a frozen copy of the trained one)."""
        ...

    def size(self, rows: Ids, labels: Ids) -> int:
        """Return the number of tokens that these rows make the model compute."""
        ...

    def shared(self, rows: Ids, labels: Ids) -> int:
        """Return how many tokens at the beginning of all rows are computed once."""
        ...

    def combined(self, sizes: Sequence[int], shared: int) -> int:
        """Return the size of several rows from the sizes that each has alone; costs no look at a token."""
        ...

    def score(
        self,
        model: nn.Module,
        rows: Ids,
        labels: Ids,
        objective: Objective = PLAIN,
        reference: Reference | None = None,
    ) -> Score:
        """Return the summed loss of the labelled tokens; reference: for an anchored objective."""
        ...
