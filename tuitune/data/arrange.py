"""From encoded data sets to what is trained and what is evaluated: mixed, split, packed, and paired for kto."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tuitune.data import mixing
from tuitune.data.examples import Examples
from tuitune.data.kinds import with_other
from tuitune.data.options import KINDS, Check, DataOptions, Progress, packs
from tuitune.data.packing import by_itself, follow, packed
from tuitune.data.rows import RowsBuilder
from tuitune.data.split import split
from tuitune.data.truncate import Masking
from tuitune.errors import DataError

_LOOK_EVERY = 256  # rows between two looks at whether the user cancelled


@dataclass(frozen=True)
class Arranger:
    """Does it for one recipe; what must be stored anew goes to files in `folder`, or into memory without one."""

    options: DataOptions
    masking: Masking
    check: Check
    folder: Path | None = None
    progress: Progress = lambda stage, done, total: None

    def arranged(self, encoded: Examples, counts: Sequence[int]) -> tuple[Examples, Examples | None]:
        """Return the training set, and what val_size holds back; `counts`: usable rows of each data set."""
        mixed = self._mixed(encoded, counts)
        if KINDS[self.options.stage] == "text":
            mixed = self._pieces(mixed, "dataset")
        train, held = split(mixed, self.options.val_size, self.options.seed)
        return self._finished(train, "train", pack=True), held and self._finished(held, "held", pack=False)

    def evaluation(self, encoded: Examples) -> Examples:
        """Return the examples of eval_dataset; data sets follow one another there, and nothing is packed."""
        if KINDS[self.options.stage] == "text":
            return self._pieces(encoded, "eval_pieces")
        return self._finished(encoded, "eval", pack=False)

    def _mixed(self, encoded: Examples, counts: Sequence[int]) -> Examples:
        options = self.options
        if options.mix_strategy == "concat" or len(counts) == 1:
            return encoded
        if 0 in counts:
            raise DataError(
                f"mix_strategy {options.mix_strategy} draws from every data set in turn, and one has no usable row",
                "Leave that data set out, or mend its rows.",
            )
        probabilities = mixing.probabilities(options.interleave_probs, len(counts))
        which, place = mixing.places(counts, options.mix_strategy, probabilities, options.seed)
        begins = np.cumsum([0, *counts[:-1]])
        return encoded.select(begins[which] + place)

    def _pieces(self, documents: Examples, name: str) -> Examples:
        join = follow if packs(self.options) else by_itself
        return join(documents, self.options.cutoff_len, self._stem(name), self.check)

    def _finished(self, examples: Examples, name: str, *, pack: bool) -> Examples:
        kind = KINDS[self.options.stage]
        if kind == "label":
            return with_neighbours(examples, self.masking, self._stem(name), self._told)
        if kind == "answer" and pack and packs(self.options):
            return packed(examples, self.options.cutoff_len, self.check)
        return examples

    def _told(self, done: int, total: int) -> None:
        self.check()
        self.progress("pair", done, total)

    def _stem(self, name: str) -> Path | None:
        return None if self.folder is None else self.folder / name


def with_neighbours(
    examples: Examples, masking: Masking, stem: Path | None, told: Callable[[int, int], None] = lambda done, total: None
) -> Examples:
    """Return kto's examples of rows that hold prompt and answer apart.

    The KL sequence is the prompt with the answer of the next example; the last one takes the first's. `told` hears how
    many of them are done; it may raise to cancel.
    """
    rows, builder = examples.rows, RowsBuilder(stem, masking.late_end)
    for place in range(len(examples)):
        if place % _LOOK_EVERY == 0:
            told(place, len(examples))
        prompt, answer = rows.ids_at(2 * place), rows.ids_at(2 * place + 1)
        other = rows.ids_at(2 * ((place + 1) % len(examples)) + 1)
        for row in with_other(prompt, answer, other, masking):
            builder.add(row.ids, row.labelled, row.late)
    return Examples.of(builder.done(), 2, desirable=examples.desirable, origins=examples.origins)
