"""From sources to token rows: convert, render, tokenise in batches, cut, mask, and count what was left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tuitune.data.builtin import fill
from tuitune.data.conversation import Conversation, UnusableRow
from tuitune.data.convert import convert
from tuitune.data.options import Check, DataOptions, Progress
from tuitune.data.report import BadRow, DataReport
from tuitune.data.rows import RowsBuilder, TokenRows
from tuitune.data.sources import Source
from tuitune.data.templates.base import Piece, Template, encode_texts, ids_of
from tuitune.data.templates.own import Unsplittable
from tuitune.data.truncate import Masking, Turn, cut
from tuitune.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# A batch is about a tenth of a second of work, so that a cancelled run stops at once.
CHARACTERS = 100_000
ROWS = 500
REASONS = 3
TOO_SHORT = "nothing is left to train on after cutting to cutoff_len"
Batch = list[tuple[Source, int, Conversation]]


class Encoder:
    """Turn sources into TokenRows; one report gathers what happens to every row."""

    def __init__(
        self,
        options: DataOptions,
        tokenizer: PreTrainedTokenizerBase,
        template: Template,
        report: DataReport,
        progress: Progress,
        check: Check,
    ) -> None:
        self._options = options
        self._tokenizer = tokenizer
        self._template = template
        self._report = report
        self._progress = progress
        self._check = check
        self._first: list[BadRow] = []  # of the sources at hand, for the words of an error
        self._masking = Masking(options.cutoff_len, options.train_on_prompt, options.mask_history)

    def encode(self, sources: Sequence[Source], what: str) -> TokenRows:
        """Return the rows of `sources`, concatenated; raises DataError, with the first reasons, if none is left."""
        total = sum(len(source.rows) for source in sources)
        self._first.clear()
        builder = RowsBuilder()
        for done, batch in self._batches(sources):
            self._check()
            self._encode_batch(batch, builder)
            self._progress("tokenise", done, total)
        if not len(builder):
            raise self._nothing_left(sources, total, what)
        return builder.done()

    def _batches(self, sources: Sequence[Source]) -> Iterator[tuple[int, Batch]]:
        """Yield how many rows have been read, and the conversations among them."""
        batch: Batch = []
        done, characters, since = 0, 0, 0
        for source in sources:
            for row in source.rows:
                done, since = done + 1, since + 1
                talk = self._converted(source, row.number, row.value)
                if talk is not None:
                    batch.append((source, row.number, talk))
                    characters += sum(len(message.content) for message in talk.messages)
                if characters >= CHARACTERS or since >= ROWS:
                    yield done, batch
                    batch, characters, since = [], 0, 0
        yield done, batch

    def _converted(self, source: Source, number: int, value: object) -> Conversation | None:
        try:
            talk = convert(value, source.entry)
        except UnusableRow as reason:
            self._bad(source, number, str(reason))
            return None
        if source.fills_identity:
            return fill(talk, self._options.name, self._options.author)
        return talk

    def _encode_batch(self, batch: Batch, builder: RowsBuilder) -> None:
        rendered = self._render(batch)
        texts = (
            element
            for pieces in rendered
            if not isinstance(pieces, str)
            for piece in pieces
            for element in piece
            if isinstance(element, str)
        )
        encoded = encode_texts(texts, self._tokenizer)
        for (source, number, _), pieces in zip(batch, rendered, strict=True):
            if isinstance(pieces, str):
                self._bad(source, number, pieces)
                continue
            ids = [ids_of(piece, encoded) for piece in pieces]
            reason = self._add(list(zip(ids[::2], ids[1::2], strict=True)), builder)
            if reason:
                self._bad(source, number, reason)

    def _render(self, batch: Batch) -> list[list[Piece] | str]:
        try:
            return self._template.pieces([talk for _, _, talk in batch], self._tokenizer)
        except Unsplittable as error:
            source, number, _ = batch[error.place]
            raise DataError(f"{source.file}, row {number}: {error.message}", error.hint) from None

    def _add(self, turns: list[Turn], builder: RowsBuilder) -> str:
        """Append one row, or return why it cannot be trained on."""
        row = cut(turns, self._masking)
        if not any(row.labelled):
            return f"{TOO_SHORT} {self._masking.cutoff_len}"
        self._report.truncated += row.truncated
        self._report.dropped_turns += row.dropped_turns
        builder.add(row.ids, row.labelled)
        return ""

    def _bad(self, source: Source, number: int, reason: str) -> None:
        self._report.add_bad(source.file, number, reason)
        if len(self._first) < REASONS:
            self._first.append(BadRow(source.file, number, reason))

    def _nothing_left(self, sources: Sequence[Source], total: int, what: str) -> DataError:
        names = ", ".join(source.entry.name for source in sources)
        if total == 0:
            return DataError(f"{what}: {names} has no rows", f"Look into {', '.join(s.file for s in sources)}.")
        cut_away = all(TOO_SHORT in bad.reason for bad in self._first)
        return DataError(
            f"{what}: none of the {total} rows of {names} can be used: {'; '.join(map(str, self._first))}",
            "Raise cutoff_len." if cut_away else "Mend the rows, or name the right columns in dataset_info.json.",
        )
