"""Shifted sparse attention (S2-Attn) of LongLoRA (Chen et al., arXiv 2309.12307, section 3.2), one sequence at a time.

While the model trains, the queries of a sequence see the earlier tokens of their group only. Half of the heads have
their groups moved by half a group, so that what one group knows reaches the next. The paper rolls the moved half
around the end of the row, where the last group then holds the sequence's last tokens and its first ones; here the
first half group stands alone instead, and so does the rest at the end. No token sees a later one, nor another sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from tuitune.models.flat import Layout, Span

if TYPE_CHECKING:
    from torch import Tensor

Attention = Callable[["Tensor", "Tensor", "Tensor", Layout], "Tensor"]


def attend(query: Tensor, key: Tensor, value: Tensor, layout: Layout, full: Attention) -> Tensor:
    """Return shifted sparse attention over (1, heads, T, head_dim) queries as (1, T, heads, head_dim).

    full: causal attention within the spans of a layout; groups are sequences of their own to it. Raises ValueError
    for a layout with shared beginnings.
    """
    heads = query.shape[1]
    parts = []
    for begin, end, groups in zip((0, heads // 2), (heads // 2, heads), halves(layout), strict=True):
        if begin < end:
            k, v = (of_heads(x, begin, end, heads) for x in (key, value))
            parts.append(full(query[:, begin:end], k, v, groups))
    return torch.cat(parts, dim=2)


def halves(layout: Layout) -> tuple[Layout, Layout]:
    """Return the groups of the first half of the heads, and those of the second, moved by half a group."""
    if not layout.derived:
        if layout.branched:
            raise ValueError("groups of shifted attention cannot begin with what several sequences share")
        size = layout.group
        layout.derived.extend(
            Layout(groups(layout.spans, first, size), layout.device, layout.kernel) for first in (size, size // 2)
        )
    return layout.derived[0], layout.derived[1]


def groups(spans: Sequence[Span], first: int, size: int) -> list[Span]:
    """Return every sequence cut into a first group of `first` tokens and following ones of `size`, the last shorter."""
    return [
        Span(begin, end)
        for span in spans
        for begin, end in pairwise([span.start, *range(span.start + first, span.end, size), span.end])
    ]


def of_heads(x: Tensor, begin: int, end: int, heads: int) -> Tensor:
    """Return the keys or values (1, kv_heads, T, head_dim) that the query heads `begin` to `end` of `heads` read.

    A view where each of them is read by equally many heads; one for every head where a half ends inside a kv group.
    """
    each = heads // x.shape[1]
    owners = [head // each for head in range(begin, end)]
    first, last = owners[0], owners[-1] + 1
    readers = len(owners) // (last - first)
    if all(owner == first + i // readers for i, owner in enumerate(owners)):
        return x[:, first:last]
    return x.index_select(1, torch.tensor(owners, device=x.device))
