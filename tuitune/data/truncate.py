"""Cut the turns of one row to `cutoff_len` and mask what is not trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

Turn = tuple[list[int], list[int]]  # ids of the prompt part, ids of the answer


def shares(source: int, target: int, room: int) -> tuple[int, int]:
    """Return how many source and target tokens fit in `room`: the longer side gives way, else both in proportion.

    This is LLaMA-Factory's rule, kept so that its recipes train on the same tokens.
    """
    if 2 * target < room:
        most = room
    elif 2 * source < room:
        most = room - source
    else:
        most = int(room * (target / (source + target)))
    target = min(most, target)
    return min(max(room - target, 0), source), target


@dataclass(frozen=True)
class Masking:
    """Which tokens are trained and how many fit."""

    cutoff_len: int
    train_on_prompt: bool = False
    mask_history: bool = False


@dataclass(frozen=True)
class Cut:
    """One row after the cut; `labelled` holds 0 or 1 per token."""

    ids: list[int]
    labelled: list[int]
    truncated: bool
    dropped_turns: int


def cut(turns: Sequence[Turn], masking: Masking) -> Cut:
    """Cut `turns` in order; with `mask_history` the last turn comes first and is the only one trained."""
    parts: list[tuple[list[int], list[int]]] = []
    used, lost = 0, False
    for source, target in reversed(turns) if masking.mask_history else turns:
        if used >= masking.cutoff_len:
            break
        sources, targets = shares(len(source), len(target), masking.cutoff_len - used)
        lost |= sources < len(source) or targets < len(target)
        used += sources + targets
        answer = int(not (masking.mask_history and parts))
        mask = [int(masking.train_on_prompt)] * sources + [answer] * targets
        parts.append((source[:sources] + target[:targets], mask))
    dropped = len(turns) - len(parts)
    if masking.mask_history:
        parts.reverse()
    ids = [token for part, _ in parts for token in part]
    return Cut(ids, [bit for _, mask in parts for bit in mask], lost or dropped > 0, dropped)
