"""One split of a data set, training or evaluation: its examples to be looked at, and what they come to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from tuitune.data.look_figures import Bin, count, first_like, histogram, padded, per_example, shared
from tuitune.data.look_pieces import Pieces
from tuitune.data.look_search import Searcher
from tuitune.data.look_view import Strand, View, beginning, parts
from tuitune.data.options import Check, Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tuitune.data.examples import Examples

Filter = Literal["all", "cut", "twice", "unended", "untrained", "longest"]


@dataclass(frozen=True)
class Setting:
    """What of the recipe the figures depend on; `stop` are the ids that end an answer."""

    kind: Kind
    cutoff_len: int
    stop: tuple[int, ...] = ()
    batch: int = 1  # rows of a micro-batch
    rows_per_step: int = 1
    epochs: float = 1.0
    max_steps: int = -1
    packing: bool = False
    seed: int = 42
    sampled: int | None = None  # streamed data: only so many first rows of each data set were read


@dataclass(frozen=True, slots=True)
class Packs:
    """How full packs are: the mean share of cutoff_len, and how many sequences they hold."""

    count: int
    fullness: float
    least: int
    most: int
    mean: float


class Side:
    """The examples of one split. Arrays of shape (examples,):

    lengths: tokens of all sequences; trained: those that are learnt; answers: stretches of trained tokens; ended: those
    that end in an end token; closed: those whose end token is trained; first: the first example with the same tokens;
    shared: tokens that two sequences have in common at the beginning. sequences, shape (sequences,): tokens of each.
    """

    def __init__(self, examples: Examples, pieces: Pieces, setting: Setting, check: Check = lambda: None) -> None:
        self.examples, self.pieces, self.setting = examples, pieces, setting
        counted, starts = count(examples.rows, setting.stop, check), examples.starts
        # Nothing is learnt from the second sequence of kto: its probability is measured only.
        own = np.ones(len(examples.rows), np.int64)
        if setting.kind == "label":
            own[:] = 0
            own[starts[:-1]] = 1
        self.sequences: NDArray[np.int64] = examples.rows.lengths
        self.lengths = per_example(self.sequences, starts)
        self.trained = per_example(counted.trained * own, starts)
        self.answers = per_example(counted.answers * own, starts)
        self.ended = per_example(counted.ended * own, starts)
        self.closed = per_example(counted.closed * own, starts)
        self.first = first_like(counted.mark * own.astype(np.uint64), starts)
        check()
        two = setting.kind in ("pair", "label")
        self.shared: NDArray[np.int64] = shared(examples, check) if two else np.zeros(len(examples), np.int64)

        self._bins: dict[int, list[Bin]] = {}

    def __len__(self) -> int:
        return len(self.examples)

    # -- one example -------------------------------------------------------------------------------------------

    def view(self, place: int) -> View:
        """Return an example; nothing of it is decoded yet."""
        examples, like = self.examples, int(self.first[place])
        rows = range(int(examples.starts[place]), int(examples.starts[place + 1]))
        both = self.setting.kind != "label"
        strands = tuple(Strand.of(examples.rows, row, self.pieces, learns=both or row == rows.start) for row in rows)
        common = int(self.shared[place])
        desirable = None if examples.desirable is None else bool(examples.desirable[place])
        return View(
            place, tuple(parts(strands, self.setting.kind, common, desirable)), strands, common, self.origin(place),
            None if examples.origins is None else int(examples.origins.lost[place]),
            None if like == place else like, self._ends(place), desirable,
            {} if examples.columns is None else examples.columns[place],
        )  # fmt: skip

    def _ends(self, place: int) -> bool | None:
        answers = int(self.answers[place])
        return int(self.closed[place]) == answers if answers and self.setting.stop else None

    def origin(self, place: int) -> str:
        """Return file and row of an example; nothing where nobody kept them. Not cleaned."""
        return "" if self.examples.origins is None else self.examples.origins.words(place)

    def flags(self, place: int) -> tuple[bool, bool, bool]:
        """Return whether an example was cut, is a duplicate, lacks a trained end."""
        origins = self.examples.origins
        lost = origins is not None and bool(origins.lost[place] > 0)
        return lost, int(self.first[place]) != place, self._ends(place) is False

    def beginning(self, place: int) -> str:
        """Return the first words of an example, the system's left out; not cleaned."""
        return beginning(Strand.of(self.examples.rows, int(self.examples.starts[place]), self.pieces), self.pieces)

    # -- which of them -----------------------------------------------------------------------------------------

    def places(self, which: Filter) -> NDArray[np.int64]:
        """Return the examples that a filter lets through, in the order in which they are listed."""
        everything, origins = np.arange(len(self)), self.examples.origins
        match which:
            case "longest":
                return np.argsort(-self.lengths, kind="stable")
            case "cut":
                return everything[:0] if origins is None else np.flatnonzero(origins.lost > 0)
            case "twice":
                return np.flatnonzero(self.first != everything)
            case "unended":
                return np.flatnonzero(self.closed < self.answers) if self.setting.stop else everything[:0]
            case "untrained":
                return np.flatnonzero(self.trained == 0)
        return everything

    def find(self, number: int, file: str = "") -> int | None:
        """Return the place of the example from row `number` of a file whose path ends in `file`."""
        origins = self.examples.origins
        if origins is None:
            return None
        files = [n for n, name in enumerate(origins.files) if not file or f"/{name}".endswith(f"/{file}")]
        places = np.flatnonzero((origins.number == number) & np.isin(origins.file, files))
        return int(places[0]) if len(places) else None

    @cached_property
    def _searcher(self) -> Searcher:
        return Searcher(self.pieces, self.examples)

    def search(self, words: str, places: NDArray[np.int64], check: Check = lambda: None) -> Iterator[NDArray[np.int64]]:
        """Yield which of the examples at `places` hold `words`, some thousand at a time; case does not matter."""
        return self._searcher.search(words, places, check)

    # -- what they come to -------------------------------------------------------------------------------------

    @cached_property
    def tokens(self) -> int:
        """Tokens in total."""
        return int(self.lengths.sum())

    @cached_property
    def longest(self) -> int:
        """Tokens of the longest sequence."""
        return int(self.sequences.max()) if len(self.sequences) else 0

    @cached_property
    def largest(self) -> int:
        """Tokens of the longest example."""
        return int(self.lengths.max()) if len(self.lengths) else 0

    @cached_property
    def trained_tokens(self) -> int:
        """Trained tokens in total."""
        return int(self.trained.sum())

    @property
    def several(self) -> bool:
        """Whether examples are of several sequences."""
        return len(self.examples.rows) != len(self.examples)

    @property
    def rows_answered(self) -> int:
        """Examples with an answer."""
        return int(np.count_nonzero(self.answers))

    @property
    def rows_closed(self) -> int:
        """Examples in which every answer has a trained end token."""
        return int(np.count_nonzero((self.answers > 0) & (self.closed == self.answers)))

    @property
    def lost(self) -> int | None:
        """Tokens lost to cutoff_len; None where nobody counted."""
        return None if self.examples.origins is None else int(self.examples.origins.lost.sum())

    def histogram(self, bins: int) -> list[Bin]:
        """Return how many sequences have how many tokens."""
        if bins not in self._bins:
            self._bins[bins] = histogram(self.sequences, bins)
        return self._bins[bins]

    @cached_property
    def quantiles(self) -> tuple[int, int]:
        """The lengths that half of the sequences, and 95 of a hundred, do not exceed."""
        if not len(self.sequences):
            return 0, 0
        half, most = np.quantile(self.sequences, (0.5, 0.95), method="inverted_cdf")
        return int(half), int(most)

    @cached_property
    def packs(self) -> Packs | None:
        """How full the packs are, where rows are packed."""
        if not self.setting.packing or not len(self):
            return None
        each = np.diff(self.examples.starts)
        fullness = float(self.lengths.mean()) / max(1, self.setting.cutoff_len)
        return Packs(len(self), fullness, int(each.min()), int(each.max()), float(each.mean()))

    @cached_property
    def computed(self) -> int:
        """Tokens that go through the model in one epoch: a shared prompt goes once."""
        return self.tokens - int(self.shared.sum())

    @cached_property
    def padded(self) -> int:
        """Tokens that a trainer would compute that pads every micro-batch to its longest sequence."""
        return padded(self.sequences, self.examples.starts, self.setting.batch, self.setting.seed)

    @property
    def saved(self) -> float:
        """The share of a padding trainer's work that is not done."""
        return 1 - self.computed / self.padded if self.padded > 0 else 0.0

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of one epoch."""
        return -(-len(self) // max(1, self.setting.rows_per_step))

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        whole = int(-(-self.setting.epochs * self.steps_per_epoch // 1))
        return self.setting.max_steps if self.setting.max_steps > 0 else whole
