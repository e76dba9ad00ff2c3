"""The whole way from a recipe's data sets to examples."""

from __future__ import annotations

import contextlib
import gc
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tuitune.data.about import about_data
from tuitune.data.arrange import Arranger
from tuitune.data.cache import Shelf
from tuitune.data.collect import PER, Collector
from tuitune.data.encode import Encoder
from tuitune.data.examples import Examples
from tuitune.data.guess import UNREAD
from tuitune.data.keep import Loaded
from tuitune.data.options import Check, DataOptions, Progress, dataset_names
from tuitune.data.report import DataReport
from tuitune.data.sources import Source, open_sources
from tuitune.data.streaming import Stream, streamed
from tuitune.data.templates import Style, Template, choose
from tuitune.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class Prepared:
    """Examples ready to be trained on, and what became of the other rows.

    cached: the rows were tokenised by an earlier run.
    """

    train: Examples | Stream
    evaluation: Examples | None
    report: DataReport
    template: Template
    cached: bool = False

    @property
    def template_name(self) -> str:
        """The name of the template that wrote the rows."""
        return self.template.name

    def digest(self, check: Check = lambda: None) -> str:
        """Return a short hash of the training rows, token by token; of a stream, of what it reads."""
        if isinstance(self.train, Stream):
            return self.train.digest
        digest = hashlib.sha256()
        for piece in _bytes_of(self.train):
            check()
            digest.update(piece)
        return digest.hexdigest()[:16]


def _bytes_of(examples: Examples) -> Iterator[memoryview]:
    rows = examples.rows
    for piece, _ in rows.pieces():
        yield piece.ids.data
    for piece, _ in rows.pieces():
        yield piece.labelled.data
    yield np.concatenate(([0], np.cumsum(rows.lengths))).data
    # What most data sets do not have leaves their hash as it is.
    if len(examples) != len(rows):
        yield examples.starts.data
    if len(rows.late):
        yield rows.late.data
    if examples.desirable is not None:
        yield examples.desirable.data


def build(
    recipe: DataOptions,
    tokenizer: PreTrainedTokenizerBase,
    *,
    template: Template | None = None,
    progress: Progress = lambda stage, done, total: None,
    check: Check = lambda: None,
    warn: Callable[[str], None] = lambda message: None,
) -> Prepared:
    """Read, convert and tokenise what `recipe` names; raises DataError, and whatever `check` raises to cancel.

    `template` takes the place of the recipe's. Stages of `progress` are "read" (data sets), "tokenise" (rows) and
    "pair" (kto's rows with their neighbours). `warn` is told of unusable rows that a stream meets during training.
    """
    names, held_names = _names(recipe)
    if template is None:
        template = choose(recipe.template, tokenizer, recipe.default_system, Style.of(recipe))
    sources = open_sources(names, recipe, progress, check)
    held = open_sources(held_names, recipe, progress, check)
    report = DataReport()
    report.add_note(template.warning)
    for note in dict.fromkeys(note for source in (*sources, *held) for note in source.notes):
        report.add_note(note) if UNREAD in note else report.facts.append(note)
    work = _Work(recipe, Encoder(recipe, tokenizer, template, report, check), progress, check)
    if recipe.streaming:
        return work.streamed(sources, held, template, warn)
    shelf = Shelf.of(recipe, about_data(recipe, sources, held, tokenizer, template))
    found = shelf.find()
    with _no_long_pauses():
        made = found or shelf.make(lambda folder: work.all(sources, held, folder))
    for note in shelf.notes:
        made.report.add_note(note)
    if found:
        progress("tokenise", found.report.rows, found.report.rows)
    return Prepared(made.train, made.evaluation, made.report, template, cached=found is not None)


@contextlib.contextmanager
def _no_long_pauses() -> Iterator[None]:
    """Spare what exists already from garbage collection: looking through all modules stops every thread for 0.2 s."""
    if gc.get_freeze_count():  # somebody else spares more, and not only for a while
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _names(recipe: DataOptions) -> tuple[list[str], list[str]]:
    """Return the names of the data sets to train and to evaluate on; raises DataError."""
    names = dataset_names(recipe.dataset, "dataset")
    if not names:
        raise DataError("the recipe names no data set", "Set `dataset` to a name of dataset_info.json, or to identity.")
    held = dataset_names(recipe.eval_dataset, "eval_dataset")
    if held and recipe.val_size:
        raise DataError("val_size and eval_dataset exclude each other", "Keep one of the two.")
    return names, held


@dataclass(frozen=True)
class _Work:
    """Encodes the data sets of one recipe."""

    recipe: DataOptions
    encoder: Encoder
    progress: Progress
    check: Check

    def all(self, sources: Sequence[Source], held: Sequence[Source], folder: Path) -> Loaded:
        """Return training and evaluation set; their arrays are files in `folder`."""
        encoded, counts = self._encoded(sources, "dataset", folder / "rows")
        arranger = Arranger(self.recipe, self.encoder.masking, self.check, folder, self.progress)
        train, evaluation = arranger.arranged(encoded, counts)
        if held:
            evaluation = self.evaluation(held, folder)
        train = train.numbered()
        evaluation = None if evaluation is None else evaluation.numbered(len(train))
        self._count(len(encoded), train, evaluation)
        return Loaded(train, evaluation, self.encoder.report)

    def _count(self, read: int, train: Examples, evaluation: Examples | None) -> None:
        report, rows = self.encoder.report, train.rows
        report.examples, report.evaluation_examples = len(train), 0 if evaluation is None else len(evaluation)
        # A pack has several rows, a text is cut into any number of pieces.
        report.rows = read if self.encoder.kind == "text" else len(rows) // PER[self.encoder.kind]
        report.evaluation_rows = report.evaluation_examples
        lengths = rows.lengths
        report.tokens, report.longest = int(lengths.sum()), int(lengths.max())
        report.labelled_tokens = int(rows.labelled_counts.sum())

    def streamed(
        self, sources: Sequence[Source], held: Sequence[Source], template: Template, warn: Callable[[str], None]
    ) -> Prepared:
        """Return a stream, and the evaluation set in memory."""
        evaluation = self.evaluation(held, None) if held else None
        stream, first = streamed(self.recipe, self.encoder, sources, warn)
        if first is not None:
            evaluation = Arranger(self.recipe, self.encoder.masking, self.check).evaluation(first)
        report = self.encoder.report
        if evaluation is not None:
            report.evaluation_rows = report.evaluation_examples = len(evaluation)
        return Prepared(stream, evaluation, report, template)

    def evaluation(self, held: Sequence[Source], folder: Path | None) -> Examples:
        """Return the examples of eval_dataset."""
        encoded, _ = self._encoded(held, "eval_dataset", None if folder is None else folder / "eval_rows")
        return Arranger(self.recipe, self.encoder.masking, self.check, folder, self.progress).evaluation(encoded)

    def _encoded(self, sources: Sequence[Source], what: str, stem: Path | None) -> tuple[Examples, list[int]]:
        """Return the usable rows of `sources` one after another, and how many each has; DataError if none is left."""
        encoder, counts, read = self.encoder, [], 0
        expected = [source.rows.expected for source in sources]
        total = None if None in expected else sum(each or 0 for each in expected)
        collector = Collector(encoder.kind, encoder.masking.late_end, stem)
        encoder.first.clear()
        for source in sources:
            before, begun = len(collector), read
            for done, items in encoder.batches((source, row) for row in source.rows):
                collector.add(items)
                read = begun + done
                self.progress("tokenise", read, None if total is None else max(total, read + 1))
            counts.append(len(collector) - before)
        if not len(collector):
            raise encoder.nothing_left(sources, read, what)
        self.progress("tokenise", read, read)
        for source, usable in zip(sources, counts, strict=True):
            if not usable:
                encoder.report.add_note(f"{what}: no row of {source.entry.name} ({source.file}) can be used")
        return collector.done(encoder.report), counts
