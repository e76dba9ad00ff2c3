"""Search examples for words: the bytes of their tokens, put together, make the text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from tuitune.data.look_figures import per_example
from tuitune.data.look_pieces import Pieces
from tuitune.data.look_view import span_of
from tuitune.data.options import Check

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tuitune.data.examples import Examples

_AT_ONCE = 300_000  # tokens searched between two looks at `check`
_EDGE = b"\0"  # nothing is found across two sequences


class Searcher:
    """Knows the bytes of every token; made once, for many searches."""

    def __init__(self, pieces: Pieces, examples: Examples) -> None:
        self._examples = examples
        self._lengths = per_example(examples.rows.lengths, examples.starts)
        highest = int(examples.rows.ids.max()) + 1 if len(examples.rows.ids) else 0
        self._bytes = [pieces.raw(number) for number in range(max(highest, len(pieces)))]

    def search(self, words: str, places: NDArray[np.int64], check: Check = lambda: None) -> Iterator[NDArray[np.int64]]:
        """Yield which of the examples at `places` hold `words`, some thousand at a time; case does not matter."""
        wanted = words.lower()
        ends = np.cumsum(self._lengths[places])
        low = 0
        while low < len(places):
            check()
            begun = int(ends[low - 1]) if low else 0
            high = max(low + 1, int(np.searchsorted(ends, begun + _AT_ONCE, side="right")))
            holds = [wanted in self._text(place) for place in places[low:high].tolist()]
            yield places[low:high][np.array(holds, dtype=bool)]
            low = high

    def _text(self, place: int) -> str:
        rows, starts = self._examples.rows, self._examples.starts
        spans = (span_of(rows, row) for row in range(int(starts[place]), int(starts[place + 1])))
        whole = _EDGE.join(b"".join(map(self._bytes.__getitem__, rows.ids[span].tolist())) for span in spans)
        return whole.decode("utf-8", "replace").lower()
