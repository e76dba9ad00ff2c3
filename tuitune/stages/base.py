"""What a stage is: how many things its loss is averaged over, and the summed loss of some rows.

`items` counts over a whole optimizer step and `part_loss` is a plain sum, so the gradient does not depend on how the
step was cut.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tuitune.data import Row
    from tuitune.models.paths import Path
    from tuitune.models.reference import Reference


@dataclass(frozen=True)
class Part:
    """One micro-batch: summed loss, tokens through the model, labelled ones, rightly predicted ones."""

    loss: Tensor
    tokens: int
    labelled: int
    correct: Tensor


class Stage(Protocol):
    """A training objective; `reference` is the model as it was before training, set by the engine where needed."""

    name: str
    reference: Reference | None

    @property
    def needs_reference(self) -> bool:
        """Whether `reference` must be set before a training."""
        ...

    def items(self, rows: Sequence[Row]) -> int:
        """Return the loss denominator of a whole optimizer step."""
        ...

    def part_loss(self, model: nn.Module, rows: Sequence[Row], path: Path) -> Part:
        """Return the summed loss of `rows` in one forward."""
        ...
