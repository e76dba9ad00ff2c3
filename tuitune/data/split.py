"""Hold rows back for evaluation, the same ones as `datasets` would."""

from __future__ import annotations

import math

import numpy as np

from tuitune.data.rows import TokenRows
from tuitune.errors import DataError


def split(rows: TokenRows, val_size: float, seed: int) -> tuple[TokenRows, TokenRows | None]:
    """Return training and held-out rows; `val_size` below 1 is a share (rounded up), from 1 a number of rows.

    The order is that of `datasets.Dataset.train_test_split(seed=seed)`: one permutation, its head held out, its rest
    for training.
    """
    if val_size == 0:
        return rows, None
    count = len(rows)
    held = math.ceil(val_size * count) if val_size < 1 else int(val_size)
    if not 0 < held < count:
        raise DataError(
            f"val_size {val_size:g} would hold back {held} of {count} usable rows and leave none to train on",
            "Set a smaller val_size.",
        )
    order = np.random.default_rng(seed).permutation(count)
    return rows.select(order[held:]), rows.select(order[:held])
