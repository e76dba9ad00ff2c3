"""Subspaces of low rank that gradients are projected to and updates come back from.

A matrix here is the last two dimensions of a tensor, (m, n); experts that lie in one tensor of three dimensions are a
batch of them. Sides are those of the tensor as it is stored: (out, in) for `nn.Linear`, (in, out) for GPT-2's `Conv1D`.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from tuitune.errors import TrainingError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Projection:
    """`left` (..., m, r) and `right` (..., r, n); one of them may be None, and then that side stays whole."""

    left: Tensor | None
    right: Tensor | None

    def down(self, matrix: Tensor) -> Tensor:
        """Return `matrix` (..., m, n) in the subspace: (..., r, n), (..., m, r) or (..., r, r)."""
        if self.left is not None:
            matrix = self.left.to(matrix.dtype).mT @ matrix
        return matrix if self.right is None else matrix @ self.right.to(matrix.dtype).mT

    def up(self, low: Tensor) -> Tensor:
        """Return what `low` of the subspace is in the whole space, (..., m, n)."""
        if self.left is not None:
            low = self.left.to(low.dtype) @ low
        return low if self.right is None else low @ self.right.to(low.dtype)

    def remember(self, state: dict[str, Any]) -> None:
        """Write it into the optimizer's state of the matrix."""
        state.update({side: basis for side, basis in vars(self).items() if basis is not None})

    @classmethod
    def remembered(cls, state: Mapping[str, Any]) -> Projection | None:
        """Return the projection of a state, None if it has none."""
        made = cls(state.get("left"), state.get("right"))
        return None if made.left is None and made.right is None else made


def sides(kind: str, shape: torch.Size) -> tuple[bool, bool]:
    """Return whether the left and the right side of a matrix are projected.

    kind: std (the longer side is shortened, so that the projector is small), reverse_std, left, right or full.
    """
    tall = shape[-2] >= shape[-1]
    if kind in ("std", "reverse_std"):
        right = tall == (kind == "std")
        return not right, right
    return kind in ("left", "full"), kind in ("right", "full")


def of_gradient(grad: Tensor, rank: int, kind: str, dtype: torch.dtype) -> Projection:
    """Return the first singular vectors of a gradient (GaLore, arXiv 2403.03507, equation 12), kept as `dtype`.

    A rank above the smaller side of the matrix is that side. Raises TrainingError for numbers that are not finite.
    """
    left, right = sides(kind, grad.shape)
    try:
        u, _, vh = torch.linalg.svd(grad, full_matrices=False)
    except torch.linalg.LinAlgError as error:  # type: ignore[attr-defined]
        raise TrainingError(
            "the gradient holds numbers that are not finite, so its subspace cannot be found",
            "resume from the last checkpoint with a lower learning_rate, or look at the rows of this step",
        ) from error

    return Projection(_own(u[..., :rank], dtype) if left else None, _own(vh[..., :rank, :], dtype) if right else None)


def _own(basis: Tensor, dtype: torch.dtype) -> Tensor:
    # A slice would keep all singular vectors in memory, and in the checkpoint. By columns, as LAPACK returns them: the
    # products are then those of the package in every bit.
    return basis.mT.to(dtype, copy=True, memory_format=torch.contiguous_format).mT


def at_random(shape: torch.Size, rank: int, kind: str, seed: int, device: torch.device) -> Projection:
    """Return normal numbers of variance 1 / rank (APOLLO, arXiv 2412.05270, section 4.1); the seed decides which.

    All matrices of a batch have the same one.
    """
    left, right = sides(kind, shape)
    rank = min(rank, *shape[-2:])
    draw = torch.Generator(device).manual_seed(seed)

    def normal(*size: int) -> Tensor:
        return torch.randn(size, generator=draw, device=device) / math.sqrt(rank)

    return Projection(normal(shape[-2], rank) if left else None, normal(rank, shape[-1]) if right else None)


def seed_of(run: int, tensor: int, renewal: int) -> int:
    """Return the seed of a tensor's random projection after so many renewals, in a run with that seed."""
    return random.Random(f"{run} {tensor} {renewal}").getrandbits(31)
