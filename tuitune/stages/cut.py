"""Cut examples into the fewest micro-batches that fit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tuitune.data import Example
    from tuitune.models.paths import Path
    from tuitune.stages.base import Stage


def cut(examples: Sequence[Example], stage: Stage, path: Path, tokens_per_batch: int) -> list[list[Example]]:
    """Return the examples in few micro-batches of at most `tokens_per_batch` tokens: longest first, into the first
    that has room.

    A longer one stands alone, or in the pieces that its stage makes of it. Examples without a labelled token have no
    gradient and are left out; if all are, one batch remains.
    """
    # Each is measured once: this runs in every step, and comparing tokens for every try would be felt.
    pieces = [piece for example in examples for piece in stage.pieces(example, path, tokens_per_batch)]
    measured = [(own, piece) for piece in pieces if any(own := sizes_of(piece, stage, path))]
    shared = _shared([example for _, example in measured], stage, path)
    parts: list[tuple[list[int], list[Example]]] = []
    for own, example in sorted(measured, key=lambda each: -path.combined(each[0], 0)):
        for sizes, part in parts:
            if path.combined([*sizes, *own], shared) <= tokens_per_batch:
                sizes.extend(own)
                part.append(example)
                break
        else:
            parts.append((list(own), [example]))
    return [part for _, part in parts]


def sizes_of(example: Example, stage: Stage, path: Path) -> list[int]:
    """Return the sizes that the sequences of an example have alone."""
    return [size for group in stage.groups(example) for size in path.sizes(group)]


def _shared(examples: Sequence[Example], stage: Stage, path: Path) -> int:
    """Return the common beginning of all, where every example is made of lone sequences."""
    groups = [group for example in examples for group in stage.groups(example)]
    if any(len(group) > 1 for group in groups):
        return 0
    rows = [row for group in groups for row in group]
    return path.shared([row["input_ids"] for row in rows], [row["labels"] for row in rows])
