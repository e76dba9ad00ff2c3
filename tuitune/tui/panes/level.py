"""Two conversations beside each other whose turns stand level: a question begins in the same row left and right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from tuitune.tui.kit.rows import Row
from tuitune.tui.panes.blocks import MARGIN, Block
from tuitune.tui.panes.turns import Laid, Place, Transcript

_LEAST_WIDTH = 8  # cells below which nothing is drawn
_ASKED = ("you", "tool")
Pair = tuple[int, int]


class Level(Transcript):
    """A transcript that stands level with another one, and scrolls with it; left: whether it is the left of the two."""

    def __init__(self, edge: int = MARGIN, *, left: bool = True) -> None:
        super().__init__(edge)
        self._left = left
        self._beside: Level | None = None
        self._drawn: tuple[Sequence[int], Sequence[int], Place] | None = None

    def level_with(self, other: Level | None) -> None:
        """Stand level with another one from now on, or with none."""
        if other is not self._beside:
            self._beside = other
            self.place = other.place if other is not None else self.place.copy()
            if self.is_attached:
                self.redraw()

    def redraw(self) -> None:
        """Build the rows anew, and those beside where they moved with them."""
        super().redraw()
        other = self._other()
        if other is not None and self._drawn is not None:
            mine, theirs, place = self._drawn
            if other._drawn != (theirs, mine, place):
                super(Level, other).redraw()

    def _other(self) -> Level | None:
        other = self._beside
        return other if other is not None and other.is_attached and other.content_size.width >= _LEAST_WIDTH else None

    def rows(self, width: int, height: int) -> list[Row]:
        """Return the part that is shown."""
        found = super().rows(width, height)
        if self._drawn is not None:
            self._drawn = (*self._drawn[:2], self.place.copy())
        return found

    def laid(self, width: int, height: int) -> Laid:
        """Return all rows, with blank ones where the other side needs more for the same."""
        other, self._drawn = self._other(), None
        if other is None:
            return super().laid(width, height)
        groups = self.groups(width)
        mine, theirs = ([len(group) for group in each] for each in (groups, other.groups(other.content_size.width)))
        self._drawn = (mine, theirs, self.place)
        gap = int(self.airy(max(map(_rows_of, (mine, theirs))), height))
        pairs = self._pairs(other, len(mine), len(theirs))
        pads, their_pads = padded(mine, theirs, pairs, gap)
        rows = self.joined(groups, gap, pads)
        ends = len(rows), sum(theirs) + sum(their_pads) + gap * max(0, len(theirs) - 1)
        last = self._last_asked(other, pairs)
        foot = self._foot(other, ends, None if last is None else _start(mine, pads, gap, last) + height)
        return Laid(rows + [[] for _ in range(max(ends) - ends[0])], ends[0], foot)

    def _pairs(self, other: Level, count: int, other_count: int) -> list[Pair]:
        if self._left:
            return list(paired(self.blocks, other.blocks, count, other_count))
        # From the left here too: where a question was put twice the two sides could find different pairs.
        return [(mine, left) for left, mine in paired(other.blocks, self.blocks, other_count, count)]

    def _last_asked(self, other: Level, pairs: Sequence[Pair]) -> int | None:
        """Return where the last question stands, None where it was not put to both."""
        places = [_asked(each.blocks) for each in (self, other)]
        lasts = tuple(each[-1] if each else -1 for each in places)
        return lasts[0] if lasts in pairs else None

    def _foot(self, other: Level, ends: Pair, room: int | None) -> int:
        """Return where the rows end that are to be followed; room: where the view ends that the last question begins.

        Both answers show from their question on, as far as they fit. Where they do not, the answer on its way is in
        sight; once both are there, the end of the shorter.
        """
        writing = [end for each, end in zip((self, other), ends, strict=True) if each.is_writing]
        wanted = max(writing) if writing else max(ends) if room is None else min(ends)
        return min(max(ends), max(wanted, room or 0))


def paired(mine: Sequence[Block], theirs: Sequence[Block], my_count: int, their_count: int) -> Iterator[Pair]:
    """Yield what belongs in the same row: questions that are the same, or stand in for one another, and what follows.

    The counts are of groups: behind the blocks may come the answer on its way.
    """
    asked = [_asked(mine), _asked(theirs)]
    words = [[(each[place].kind, each[place].text) for place in places]
             for each, places in zip((mine, theirs), asked, strict=True)]  # fmt: skip
    for kind, a, b, c, d in SequenceMatcher(None, words[0], words[1], autojunk=False).get_opcodes():
        if kind not in ("equal", "replace"):
            continue
        for left, right in zip(asked[0][a:b], asked[1][c:d], strict=False):
            yield left, right
            follow = left + 1 < my_count and right + 1 < their_count
            if follow and left + 1 not in asked[0] and right + 1 not in asked[1]:
                yield left + 1, right + 1


def _asked(blocks: Sequence[Block]) -> list[int]:
    return [place for place, block in enumerate(blocks) if block.kind in _ASKED]


def padded(mine: Sequence[int], theirs: Sequence[int], pairs: Sequence[Pair], gap: int) -> tuple[list[int], list[int]]:
    """Return how many blank rows come before each group of so many rows, for those in pairs to begin level."""
    pads, their_pads = [0] * len(mine), [0] * len(theirs)
    for left, right in pairs:
        lead = _start(mine, pads, gap, left) - _start(theirs, their_pads, gap, right)
        pads[left], their_pads[right] = max(0, -lead), max(0, lead)
    return pads, their_pads


def _start(counts: Sequence[int], pads: Sequence[int], gap: int, place: int) -> int:
    return sum(counts[:place]) + sum(pads[: place + 1]) + gap * place


def _rows_of(counts: Sequence[int]) -> int:
    return sum(counts) + max(0, len(counts) - 1)
