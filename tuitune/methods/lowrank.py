"""The best approximation of a matrix by a product of two thin ones, exact or by random projection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor

_MORE = 8  # columns beyond the rank; Halko et al. advise 5 to 10


class Pair(NamedTuple):
    """The two matrices of an adapter: a (rank, inputs), b (outputs, rank)."""

    a: Tensor
    b: Tensor


@contextmanager
def full_precision() -> Iterator[None]:
    """Keep TF32 out of the products inside."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def product(pair: Pair, scale: float) -> Tensor:
    """Return scale * b @ a in fp32, (outputs, inputs)."""
    with full_precision():
        return (pair.b.float() @ pair.a.float()).mul_(scale)


def factors(matrix: Tensor, rank: int, scale: float, *, rounds: int = -1, generator: torch.Generator) -> Pair:
    """Return a and b with scale * b @ a near `matrix` (outputs, inputs), each with the root of the singular values.

    rounds: power iterations of a random projection drawn from `generator` (Halko et al., arXiv 0909.4061, algorithms
    4.4 and 5.1); -1 takes the exact decomposition. No more than min(outputs, inputs) columns are returned.
    """
    matrix = matrix.float()
    with full_precision():
        if rounds < 0 or rank + _MORE >= min(matrix.shape):
            u, s, v = torch.linalg.svd(matrix, full_matrices=False)
        else:
            u, s, v = _projected(matrix, rank + _MORE, rounds, generator)
    root = (s[:rank] / scale).sqrt()
    return Pair(root[:, None] * v[:rank], u[:, :rank] * root)


def _projected(matrix: Tensor, width: int, rounds: int, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    # Drawn on the CPU, so that every device begins with the same numbers.
    probe = torch.randn(matrix.shape[1], width, generator=generator).to(matrix.device)
    q = torch.linalg.qr(matrix @ probe).Q
    for _ in range(rounds):
        q = torch.linalg.qr(matrix.T @ q).Q
        q = torch.linalg.qr(matrix @ q).Q
    u, s, v = torch.linalg.svd(q.T @ matrix, full_matrices=False)
    return q @ u, s, v
