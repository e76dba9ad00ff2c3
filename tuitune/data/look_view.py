"""One example to be looked at: its sequences in the parts that a reader wants apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from tuitune.data.look_pieces import Pieces, Token
from tuitune.data.look_turns import Turn, turns
from tuitune.data.options import Kind
from tuitune.data.rows import IGNORED

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tuitune.data.examples import Columns
    from tuitune.data.rows import TokenRows

_AHEAD = 96  # tokens read for the first words of an example
_FRAME = ("system", "developer", "tools", "environment", "")


class Strand:
    """One sequence, decoded piece by piece; `ids` and `labelled` have shape (tokens,).

    late: the trained places that learn the token `late_id` instead of their own.
    """

    def __init__(
        self,
        ids: NDArray[np.int32],
        labelled: NDArray[np.bool_],
        pieces: Pieces,
        late: frozenset[int] = frozenset(),
        late_id: int = IGNORED,
    ) -> None:
        self.ids, self.labelled, self._pieces = ids, labelled, pieces
        self._late, self._late_id = late, late_id

    @classmethod
    def of(cls, rows: TokenRows, row: int, pieces: Pieces, *, learns: bool = True) -> Strand:
        """Return a row; without `learns` nothing of it is marked as trained."""
        span = span_of(rows, row)
        labelled = rows.labelled[span]
        if not learns:
            return cls(rows.ids[span], np.zeros_like(labelled), pieces)
        first, last = np.searchsorted(rows.late, (span.start, span.stop))
        late = frozenset((rows.late[first:last] - span.start).tolist())
        return cls(rows.ids[span], labelled, pieces, late, rows.late_id)

    def __len__(self) -> int:
        return len(self.ids)

    def tokens(self, start: int = 0, stop: int | None = None) -> list[Token]:
        """Return the tokens from `start` up to `stop`."""
        stop = len(self) if stop is None else min(stop, len(self))
        found = self._pieces.tokens(self.ids, self.labelled, start, stop)
        return (
            [replace(t, target=self._late_id) if t.position in self._late else t for t in found]
            if self._late
            else found
        )

    def target(self, token: Token) -> str:
        """Return the text that is learnt in the place of a token where that is another one; not cleaned."""
        return self._pieces.text([token.target]) if token.trained and token.target != token.id else ""

    @cached_property
    def turns(self) -> list[Turn]:
        """Whose turn it is, from which token on."""
        return turns(self.ids, self.labelled, self._pieces)

    @property
    def trained(self) -> int:
        """How many tokens are trained."""
        return int(np.count_nonzero(self.labelled))

    @property
    def marks(self) -> int:
        """How many special tokens are not trained."""
        return int(np.count_nonzero(np.isin(self.ids, self._pieces.special) & ~self.labelled))


@dataclass(frozen=True, slots=True)
class Block:
    """A part of a sequence that is shown under one title; `beside`: next to the block before it, with enough room."""

    title: str
    strand: Strand
    start: int
    stop: int
    beside: bool = False


@dataclass(frozen=True)
class View:
    """One example: its parts, where it comes from, and what is to be said about it.

    shared: tokens that its two sequences have in common. lost: tokens lost to cutoff_len, None where nobody counted.
    like: the place of the first example with the same tokens. ended: whether each of its answers ends in a trained end
    token, None where it has no answers.
    """

    place: int
    blocks: tuple[Block, ...]
    strands: tuple[Strand, ...]
    shared: int = 0
    origin: str = ""
    lost: int | None = None
    like: int | None = None
    ended: bool | None = None
    desirable: bool | None = None
    columns: Columns = field(default_factory=dict)

    @property
    def tokens(self) -> int:
        """Tokens of all sequences."""
        return sum(len(strand) for strand in self.strands)

    @property
    def trained(self) -> int:
        """Trained tokens of all sequences."""
        return sum(strand.trained for strand in self.strands)


def parts(strands: Sequence[Strand], kind: Kind, common: int, desirable: bool | None) -> Iterator[Block]:
    """Yield the parts of an example whose sequences have `common` tokens in common."""
    if kind in ("pair", "label") and len(strands) == 2:
        first, second = strands
        own, other = ("chosen", "rejected") if kind == "pair" else (_vote(desirable), "another answer, for the KL term")
        # Answers that begin alike are shown whole.
        prompt = min(common, int(np.argmax(first.labelled)) if first.labelled.any() else common)
        yield Block("prompt, computed once", first, 0, prompt)
        yield Block(own, first, prompt, len(first))
        yield Block(other, second, prompt, len(second), beside=True)
    elif len(strands) == 1:
        yield Block(_vote(desirable) if kind == "label" else "", strands[0], 0, len(strands[0]))
    else:
        for number, strand in enumerate(strands, 1):
            yield Block(f"sequence {number} of {len(strands)}", strand, 0, len(strand))


def beginning(strand: Strand, pieces: Pieces) -> str:
    """Return the first words that somebody says, the system's left out; not cleaned."""
    head = Strand(strand.ids[:_AHEAD], strand.labelled[:_AHEAD], pieces)
    found = head.turns
    at = next((n for n, turn in enumerate(found) if turn.role not in _FRAME), 0)
    stop = found[at + 1].start if at + 1 < len(found) else len(head)
    tokens = head.tokens(found[at].start, stop)
    text = pieces.text(token.id for token in tokens if not token.special).strip()
    return text.removeprefix(found[at].role).lstrip() if tokens and tokens[0].special else text


def _vote(desirable: bool | None) -> str:
    return "answer" if desirable is None else "desirable answer" if desirable else "undesirable answer"


def span_of(rows: TokenRows, row: int) -> slice:
    """Return where the tokens of a row are stored."""
    stored = row if rows.order is None else int(rows.order[row])
    return slice(int(rows.offsets[stored]), int(rows.offsets[stored + 1]))
