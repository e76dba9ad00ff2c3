"""Hold examples back for evaluation, the same ones as `datasets` would."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tuitune.data.examples import Examples
from tuitune.errors import DataError


def split(examples: Examples, val_size: float, seed: int) -> tuple[Examples, Examples | None]:
    """Return training and held-out examples; `val_size` below 1 is a share (rounded up), from 1 a number of examples.

    The order is that of `datasets.Dataset.train_test_split(seed=seed)`: one permutation, its head held out, its rest
    for training. What is held out is not trained on, also where mixing has repeated it (equal `indices`).
    """
    if val_size == 0:
        return examples, None
    count = len(np.unique(examples.indices))
    held = math.ceil(val_size * count) if val_size < 1 else int(val_size)
    if not 0 < held < count:
        raise DataError(
            f"val_size {val_size:g} would hold back {held} of {count} usable rows and leave none to train on",
            "Set a smaller val_size.",
        )
    order = np.random.default_rng(seed).permutation(len(examples))
    train, out = _parted(order, examples.indices[order], held)
    return examples.select(train), examples.select(out)


def _parted(
    order: NDArray[np.int64], indices: NDArray[np.int64], held: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Part `order` after its first `held` different indices; the rest keeps none of them."""
    _, first = np.unique(indices, return_index=True)
    out = np.sort(first)[:held]
    return order[~np.isin(indices, indices[out])], order[out]
