"""Rows of different lengths as one flat row: no padding, common beginnings computed once, the head on labelled
positions only.

A flat batch is a sequence of groups. Most groups are a single sequence. Where several sequences begin with the same
tokens, the beginning (the trunk) is laid down once and every rest (a branch) attends to the trunk and to itself,
never to its sisters. Position ids are those that each sequence would have alone, so the result is that of separate
rows (research: engine.md, 2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

IGNORED = -100


@dataclass(frozen=True)
class Span:
    """Queries `start..end` of the flat row; their keys are the trunk (may be empty) followed by themselves."""

    start: int
    end: int
    trunk: tuple[int, int] = (0, 0)

    @property
    def length(self) -> int:
        return self.end - self.start

    @property
    def shared(self) -> int:
        return self.trunk[1] - self.trunk[0]


@dataclass
class Layout:
    """Who sees whom in one flat row; travels to the attention function as a keyword.

    As a keyword and not as a global: a recomputation of this batch runs after the forward of the next one.
    """

    spans: list[Span] = field(default_factory=list)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    kernel: bool = True  # whether CUDA's variable-length kernel may be used
    group: int = 0  # tokens of a group of shifted sparse attention; 0: a query sees all that comes before it
    derived: list[Layout] = field(default_factory=list)  # the two layouts of those groups, once they were needed
    _bias: dict[tuple[int, int, torch.dtype], Tensor] = field(default_factory=dict)

    def bias(self, span: Span, dtype: torch.dtype) -> Tensor:
        """Additive mask of a branch, (queries, trunk + queries): causal, aligned to the bottom right."""
        key = (span.shared, span.length, dtype)
        if key not in self._bias:
            width = span.shared + span.length
            seen = torch.ones(span.length, width, dtype=torch.bool, device=self.device).tril(span.shared)
            bias = torch.zeros(span.length, width, dtype=dtype, device=self.device)
            self._bias[key] = bias.masked_fill_(~seen, float("-inf"))
        return self._bias[key]

    @cached_property
    def packed(self) -> Packed:
        """The same layout for a variable-length kernel: one key gather and cumulative lengths, on the device."""
        return Packed.of(self)

    @property
    def branched(self) -> bool:
        return any(span.shared for span in self.spans)


@dataclass(frozen=True)
class Packed:
    """Cumulative lengths (int32) of queries and keys per span, and which keys each span reads (None: its own only)."""

    cu_queries: Tensor
    cu_keys: Tensor
    most_queries: int
    most_keys: int
    gather: Tensor | None

    @classmethod
    def of(cls, layout: Layout) -> Packed:
        queries = [span.length for span in layout.spans]
        keys = [span.length + span.shared for span in layout.spans]
        gather = None
        if layout.branched:
            # index_select's backward adds up, so that a trunk's keys get the gradients of all its branches.
            index = [i for s in layout.spans for i in (*range(*s.trunk), *range(s.start, s.end))]
            gather = torch.tensor(index, dtype=torch.long, device=layout.device)
        return cls(
            _cumulative(queries, layout.device), _cumulative(keys, layout.device), max(queries), max(keys), gather
        )


def _cumulative(lengths: Sequence[int], device: torch.device) -> Tensor:
    return torch.tensor([0, *lengths], dtype=torch.int32).cumsum(0, dtype=torch.int32).to(device)


@dataclass(frozen=True)
class FlatBatch:
    """One flat row, ready for a model.

    `input_ids`, `position_ids`: (1, T). `keep`: (K,) flat positions that predict something, ascending, each once.
    `source`: (N,) index into `keep` for each of the N labelled tokens; `targets`: (N,) their ids; `owner`: (N,) their
    sequence.
    """

    input_ids: Tensor
    position_ids: Tensor
    keep: Tensor
    source: Tensor
    targets: Tensor
    owner: Tensor
    layout: Layout
    sequences: int
    aligned: bool  # whether `source` is 0, 1, 2, ...: then nothing has to be picked

    @property
    def tokens(self) -> int:
        """Tokens that go through the model."""
        return self.input_ids.shape[1]


class FlatBuilder:
    """Collects groups of sequences and turns them into a `FlatBatch`."""

    def __init__(self) -> None:
        self._ids: list[int] = []
        self._positions: list[int] = []
        self._spans: list[Span] = []
        self._source: list[int] = []
        self._targets: list[int] = []
        self._owner: list[int] = []
        self._sequences = 0

    def add(self, sequences: Sequence[Sequence[int]], labels: Sequence[Sequence[int]], *, share: bool = True) -> None:
        """Add one group: token ids of each sequence and its labels (unshifted; IGNORED where nothing is learned)."""
        bodies = [ids[: needed(mask)] for ids, mask in zip(sequences, labels, strict=True)]
        laid = [body for body in bodies if body]  # a sequence without a labelled token is not computed
        trunk = common_beginning(laid) if share and len(laid) > 1 else 0
        begin = len(self._ids)
        if trunk:
            self._lay(laid[0][:trunk], 0, (0, 0))
        for ids, mask, body in zip(sequences, labels, bodies, strict=True):
            at = len(self._ids)
            if len(body) > trunk:
                self._lay(body[trunk:], trunk, (begin, begin + trunk))
            for t in range(1, len(body) + 1):
                if mask[t] != IGNORED:
                    before = t - 1
                    self._source.append(begin + before if before < trunk else at + before - trunk)
                    self._targets.append(ids[t])
                    self._owner.append(self._sequences)
            self._sequences += 1

    def _lay(self, ids: Sequence[int], position: int, trunk: tuple[int, int]) -> None:
        start = len(self._ids)
        self._ids.extend(ids)
        self._positions.extend(range(position, position + len(ids)))
        self._spans.append(Span(start, start + len(ids), trunk))

    def build(self, device: torch.device | str = "cpu", *, kernel: bool = True, group: int = 0) -> FlatBatch:
        """Return the batch on `device`; raises ValueError if no sequence had a labelled token.

        kernel, group: see Layout.
        """
        if not self._targets:
            raise ValueError("a flat batch needs at least one labelled token")
        device = torch.device(device)
        # A position that several branches predict from is projected once.
        keep, source = torch.unique(torch.tensor(self._source), return_inverse=True)
        aligned = torch.equal(source, torch.arange(len(source)))
        move = [torch.tensor(x) for x in (self._ids, self._positions, self._targets, self._owner)]
        ids, positions, targets, owner = (x.to(device, non_blocking=True) for x in move)
        return FlatBatch(
            ids[None], positions[None], keep.to(device), source.to(device), targets, owner,
            Layout(self._spans, device, kernel, group), self._sequences, aligned,
        )  # fmt: skip


def needed(labels: Sequence[int]) -> int:
    """Number of leading tokens to compute: the last labelled token and what follows it predict nothing."""
    for t in range(len(labels) - 1, 0, -1):
        if labels[t] != IGNORED:
            return t
    return 0


def labelled(labels: Sequence[int]) -> int:
    """Number of tokens that are learned; the first one has no predecessor and never counts."""
    return sum(1 for t in range(1, len(labels)) if labels[t] != IGNORED)


def common_beginning(sequences: Sequence[Sequence[int]]) -> int:
    """Length of the longest common prefix."""
    low, high = 0, min(map(len, sequences))
    first, last = min(sequences, key=tuple), max(sequences, key=tuple)
    while low < high and first[low] == last[low]:
        low += 1
    return low
