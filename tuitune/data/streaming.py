"""Rows read and tokenised while training: pass after pass over the data sets, in an order that can be repeated."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from tuitune.data import mixing
from tuitune.data.collect import Collector
from tuitune.data.encode import Encoder, Item
from tuitune.data.examples import Example, Examples
from tuitune.data.kinds import with_other
from tuitune.data.options import KINDS, DataOptions, packs
from tuitune.data.packing import best_fit
from tuitune.data.report import DataReport
from tuitune.data.rows import IGNORED, Row
from tuitune.data.truncate import Cut
from tuitune.errors import DataError

if TYPE_CHECKING:
    from tuitune.data.files import RawRow
    from tuitune.data.sources import Source

PACKED_AMONG = 1000  # rows that are packed together

Compact = tuple[NDArray[np.int32], NDArray[np.int32]]  # ids and labels of one sequence, each of shape (tokens,)


@dataclass(frozen=True, slots=True)
class _Example:
    """An example while it waits for its turn: 8 bytes per token instead of 70."""

    sequences: tuple[Compact, ...]
    desirable: bool | None = None

    def example(self, index: int) -> Example:
        rows: list[Row] = [{"input_ids": ids.tolist(), "labels": labels.tolist()} for ids, labels in self.sequences]
        return Example(tuple(rows), index, self.desirable)


@dataclass
class Stream:
    """The training examples, without an end: passes over the data follow one another, each shuffled in its own way.

    Iterating begins at the beginning, and gives the same examples every time. longest: tokens of a sequence at most.
    """

    options: DataOptions
    encoder: Encoder
    sources: Sequence[Source]
    held: frozenset[tuple[str, int]] = frozenset()
    warn: Callable[[str], None] = lambda message: None
    ends: list[int] = field(default_factory=list)  # how many examples there were when each pass had ended
    _said: bool = False
    _read: int = 0  # rows of the pass at hand

    @property
    def longest(self) -> int:
        """Tokens of the longest sequence there can be."""
        return self.options.cutoff_len

    @property
    def largest(self) -> int:
        """Tokens of the largest example there can be."""
        return self.longest * (2 if KINDS[self.options.stage] == "pair" else 1)

    @property
    def digest(self) -> str:
        """A short hash of what is read and in which order."""
        told = [source.fingerprint() for source in self.sources]
        keys = ("stage", "seed", "cutoff_len", "mix_strategy", "interleave_probs", "buffer_size", "disable_shuffling",
                "packing", "val_size")  # fmt: skip
        parts = [told, [getattr(self.options, key) for key in keys]]
        return hashlib.sha256(json.dumps(parts, default=str).encode()).hexdigest()[:16]

    def epochs(self, count: int) -> float:
        """Return how many passes `count` examples are; until the first one has ended, about.

        0 where nobody can know.
        """
        done = bisect_right(self.ends, count)
        begin = self.ends[done - 1] if done else 0
        length = self.ends[done] - begin if done < len(self.ends) else self.ends[0] if self.ends else self._expected()
        return done + min((count - begin) / length, 1.0) if length else float(done)

    def _expected(self) -> int:
        """Return about how many examples a pass has, 0 for unknown."""
        counts = [source.rows.expected for source in self.sources]
        single = self.encoder.kind != "text" and not packs(self.options) and self.options.mix_strategy == "concat"
        return sum(count or 0 for count in counts) if single and None not in counts else 0

    def __iter__(self) -> Iterator[Example]:
        self.ends.clear()
        given = 0
        while True:
            before = given
            for waiting in self._shuffled(self._examples(), len(self.ends)):
                yield waiting.example(given)
                given += 1
            if given == before:
                raise self.encoder.nothing_left(self.sources, self._read, "dataset")
            self._told()
            self.ends.append(given)

    def look(self, count: int) -> Iterator[Example]:
        """Yield the first `count` examples of the first pass, in the order of the data."""
        for index, waiting in enumerate(islice(self._examples(), count)):
            yield waiting.example(index)

    # One pass

    def _examples(self) -> Iterator[_Example]:
        """Yield the examples of one pass in the order of the data."""
        items = (item for item in self.items() if (item.file, item.number) not in self.held)
        kind = self.encoder.kind
        if kind == "text":
            return self._texts(items)
        if kind == "label":
            return self._with_neighbours(items)
        found = (_Example(tuple(map(self._compact, item.encoded.sequences))) for item in items)
        return self._packed(found) if packs(self.options) else found

    def items(self) -> Iterator[Item]:
        """Yield the usable rows of one pass, also those that are held back."""
        options, sources = self.options, self.sources
        probabilities = mixing.probabilities(options.interleave_probs, len(sources))
        streams = [source.rows for source in sources]
        mixed = mixing.mixed(streams, options.mix_strategy, probabilities, options.seed)
        rows: Iterator[tuple[Source, RawRow]] = ((sources[which], row) for which, row in mixed)
        for done, items in self.encoder.batches(rows):
            self._read = done
            self._say_first()
            yield from items

    def _say_first(self) -> None:
        if self.encoder.report.bad_count and not self._said:
            self._said = True
            self.warn(f"a row cannot be used: {self.encoder.report.bad[0]}; others are counted until the pass ends")

    def _shuffled(self, examples: Iterator[_Example], number: int) -> Iterator[_Example]:
        """Yield the examples of pass `number`: each takes the place of one among the waiting, drawn at random."""
        if self.options.disable_shuffling:
            yield from examples
            return
        generator = np.random.default_rng((self.options.seed, number))
        waiting: list[_Example] = []
        for example in examples:
            if len(waiting) < self.options.buffer_size:
                waiting.append(example)
                continue
            place = int(generator.integers(len(waiting)))
            yield waiting[place]
            waiting[place] = example
        yield from (waiting[place] for place in generator.permutation(len(waiting)))

    def _texts(self, items: Iterator[Item]) -> Iterator[_Example]:
        """Yield pieces of cutoff_len tokens of the documents, one after another unless packing is off."""
        length, join = self.options.cutoff_len, packs(self.options)
        ids: list[int] = []
        for item in items:
            ids += item.encoded.sequences[0].ids
            whole = len(ids) - len(ids) % length if join else len(ids)
            yield from (_Example((_all_learnt(ids[place : place + length]),)) for place in range(0, whole, length))
            del ids[:whole]
        if ids:
            yield _Example((_all_learnt(ids),))

    def _with_neighbours(self, items: Iterator[Item]) -> Iterator[_Example]:
        """Yield kto's examples; the KL sequence has the answer of the next row, the last one that of the first."""
        first = next(items, None)
        if first is None:
            return
        at_hand = first
        for item in chain(items, (first,)):
            (prompt, answer), other = at_hand.encoded.sequences, item.encoded.sequences[1]
            pair = with_other(prompt.ids, answer.ids, other.ids, self.encoder.masking)
            yield _Example(tuple(map(self._compact, pair)), at_hand.encoded.desirable)
            at_hand = item

    def _packed(self, examples: Iterator[_Example]) -> Iterator[_Example]:
        while some := list(islice(examples, PACKED_AMONG)):
            lengths = np.array([len(example.sequences[0][0]) for example in some], np.int64)
            order, starts = best_fit(lengths, self.options.cutoff_len, lambda: None)
            for begin, end in pairwise(starts.tolist()):
                yield _Example(tuple(some[place].sequences[0] for place in order[begin:end]))

    def _compact(self, row: Cut) -> Compact:
        ids = np.array(row.ids, np.int32)
        labels = np.where(np.array(row.labelled, np.bool_), ids, IGNORED)
        if row.late:
            labels[list(row.late)] = self.encoder.masking.late_end
        return ids, labels

    def _told(self) -> None:
        """At the end of the first pass, say what could not be used; later passes would say it again."""
        if self.ends:
            return
        report = self.encoder.report
        if report.bad_count:
            self.warn(f"{report.bad_count} rows of the streamed data cannot be used: {report.first_reasons(5)}")
        if report.truncated:
            self.warn(f"{report.truncated} streamed rows are longer than cutoff_len and were cut")
        self.encoder.report = DataReport()


def _all_learnt(ids: Sequence[int]) -> Compact:
    values = np.array(ids, np.int32)
    return values, values


def streamed(
    options: DataOptions, encoder: Encoder, sources: Sequence[Source], warn: Callable[[str], None]
) -> tuple[Stream, Examples | None]:
    """Return the stream of a recipe, and what val_size holds back: the first so many usable rows."""
    stream = Stream(options, encoder, sources, warn=warn)
    wanted = int(options.val_size)
    if not wanted:
        return stream, None
    collector = Collector(encoder.kind, encoder.masking.late_end)
    report, encoder.report = encoder.report, DataReport()  # the first pass reads these rows again
    first = list(islice(stream.items(), wanted + 1))
    encoder.report = report
    if len(first) <= wanted:
        raise DataError(
            f"val_size {wanted} would hold back all {len(first)} usable rows and leave none to train on",
            "Set a smaller val_size.",
        )
    collector.add(first[:wanted])
    stream.held = frozenset((item.file, item.number) for item in first[:wanted])
    return stream, collector.done(DataReport())
