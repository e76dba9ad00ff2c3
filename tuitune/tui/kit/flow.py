"""Tokens laid out in lines, no further than they are looked at: a row of a hundred thousand tokens opens at once."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from rich.cells import cell_len, chop_cells

if TYPE_CHECKING:
    from tuitune.data.look_pieces import Token
    from tuitune.data.look_turns import Turn
    from tuitune.data.look_view import Strand

_AT_ONCE = 512  # tokens decoded at once
_HEADER = 8  # tokens of a turn in which its first line end belongs to the mark of the role
_UNNAMED = ("prompt", "answer", "text", "")
_LINES = re.compile("[^↵]*↵|[^↵]+")
_PLAIN = str.maketrans({"↵": " ", "⇥": " "})


@dataclass(frozen=True, slots=True)
class Bit:
    """A token, or the part of it that fits on a line, in `width` cells."""

    token: Token
    text: str
    width: int


@dataclass(slots=True)
class Line:
    """A line of tokens; `role` where a turn begins. An empty one stands between turns."""

    role: str = ""
    bits: list[Bit] = field(default_factory=list)

    def at(self, x: int) -> Token | None:
        """Return the token at a cell."""
        for bit in self.bits:
            x -= bit.width
            if x < 0:
                return bit.token
        return self.bits[-1].token if self.bits else None


class Flow:
    """The tokens `start` to `stop` of a sequence in lines of `width` cells.

    prose: as text, without marks for blanks, line ends and parts of characters. ids: with room for the id below each
    token. gaps: an empty line between turns.
    """

    def __init__(
        self, strand: Strand, start: int, stop: int, width: int, *, prose: bool = False, ids: bool = False,
        gaps: bool = True,
    ) -> None:  # fmt: skip
        self.strand, self.start, self.stop, self.width = strand, start, stop, max(4, width)
        self._prose, self._ids, self._gaps = prose, ids, gaps
        self._lines: list[Line] = []
        self._firsts: list[int] = []  # the first token of each line, or of the next one that has any
        self._source = self._lay_out()

    def line(self, number: int) -> Line | None:
        """Return a line, None behind the last one."""
        while len(self._lines) <= number:
            if not self._more():
                return None
        return self._lines[number]

    def _more(self) -> bool:
        found = next(self._source, None)
        if found is None:
            return False
        self._lines.append(found)
        last = self._firsts[-1] if self._firsts else self.start
        self._firsts.append(found.bits[0].token.position if found.bits else last)
        return True

    def count(self) -> int:
        """Return how many lines there are; lays out all of them."""
        while self._more():
            pass
        return len(self._lines)

    def line_of(self, position: int) -> int:
        """Return the line on which a token begins."""
        while (not self._firsts or self._firsts[-1] <= position) and self._more():
            pass
        at = max(0, bisect_right(self._firsts, position) - 1)
        while at > 0 and (not self._lines[at].bits or self._ends_with(at - 1, position)):
            at -= 1
        return at

    def _ends_with(self, number: int, position: int) -> bool:
        bits = self._lines[number].bits
        return bool(bits) and bits[-1].token.position == position

    # -- laying out --------------------------------------------------------------------------------------------

    def _tokens(self) -> Iterator[Token]:
        for low in range(self.start, self.stop, _AT_ONCE):
            yield from self.strand.tokens(low, min(self.stop, low + _AT_ONCE))

    def _lay_out(self) -> Iterator[Line]:
        turns = {turn.start: turn for turn in self.strand.turns}
        before = [turn for turn in self.strand.turns if turn.start <= self.start]
        turn: Turn | None = before[-1] if before else None
        line, used, headed = Line(turn.role if turn else ""), 0, False
        for token in self._tokens():
            if token.position in turns and token.position > self.start:
                turn, headed = turns[token.position], False
                if line.bits:
                    yield line
                if self._gaps:
                    yield Line()
                line, used = Line(turn.role), 0
            for text in self._parts(token):
                for bit in self._bits(token, text):
                    if used and used + bit.width > self.width:
                        rest = self._wrapped(line, bit) if self._prose else [bit]
                        yield line
                        line, used = Line("", rest), sum(each.width for each in rest)
                    else:
                        line.bits.append(bit)
                        used += bit.width
                if text.endswith("↵") and self._breaks(token, turn, headed):
                    yield line
                    line, used = Line(), 0
                headed |= text.endswith("↵")
        if line.bits:
            yield line

    def _wrapped(self, line: Line, bit: Bit) -> list[Bit]:
        """Return what begins the next line of text: `bit`, behind the part of its word that is taken from the full one.

        A long word stays, and so does what is written without blanks between words.
        """
        word = [bit]
        if bit.text[:1] != " " and cell_len(bit.text[:1]) == 1:
            breaks = (n for n in range(len(line.bits) - 1, 0, -1) if line.bits[n].text[:1] == " ")
            at = next(breaks, len(line.bits))
            if sum(each.width for each in line.bits[at:]) + bit.width <= self.width // 2:
                word = [*line.bits[at:], bit]
                del line.bits[at:]
        first = word[0]
        if first.text[:1] == " " and first.text.strip():  # a token that is only a blank must be seen
            word[0] = Bit(first.token, first.text[1:], first.width - 1)
        return word

    def _breaks(self, token: Token, turn: Turn | None, headed: bool) -> bool:
        named = turn is not None and turn.role not in _UNNAMED
        return headed or not named or turn is None or token.position - turn.start > _HEADER

    def _parts(self, token: Token) -> list[str]:
        return _LINES.findall(token.text) or [token.text]

    def _bits(self, token: Token, text: str) -> Iterator[Bit]:
        if self._prose and token.partial:
            return
        shown = text.translate(_PLAIN) if self._prose else dotted(text)
        for part in chop_cells(shown, self.width) if cell_len(shown) > self.width else (shown,):
            width = cell_len(part)
            yield Bit(token, part, max(width, len(str(token.id))) + 1 if self._ids else width)


def dotted(text: str) -> str:
    """Return a token with its blanks as dots, but for a single one before a word: most tokens begin so."""
    lead = " " if text[:1] == " " and text[1:2] not in ("", " ") else ""
    return lead + text[len(lead) :].replace(" ", "·")
