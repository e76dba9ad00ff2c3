"""From rows to token ids, a batch at a time: read, render, tokenise, cut, mask, and count what was left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tuitune.data.conversation import Conversation, Document, UnusableRow
from tuitune.data.kinds import ENCODERS, TOO_SHORT, Encoded, document
from tuitune.data.options import KINDS, Check, DataOptions
from tuitune.data.report import BadRow, DataReport
from tuitune.data.templates.base import encode_pieces, encode_texts
from tuitune.data.templates.own import Unsplittable
from tuitune.data.truncate import Masking
from tuitune.errors import DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from tuitune.data.files import RawRow
    from tuitune.data.sources import Source
    from tuitune.data.templates.base import Template

# A batch is less than a tenth of a second of work, also on a slow machine, so that a cancelled run stops at once.
CHARACTERS = 50_000
ROWS = 250
REASONS = 3


@dataclass(frozen=True, slots=True)
class Item:
    """One usable row: where it stands, and what became of it."""

    file: str
    number: int
    encoded: Encoded


@dataclass(slots=True)
class _Batch:
    rows: list[tuple[Source, RawRow]]
    said: list[Conversation | Document]


class Encoder:
    """Turns rows of sources into token ids; `report` gathers what happens to every row."""

    def __init__(
        self,
        options: DataOptions,
        tokenizer: PreTrainedTokenizerBase,
        template: Template,
        report: DataReport,
        check: Check,
    ) -> None:
        self.report = report
        self.kind = KINDS[options.stage]
        self.masking = masking_of(options, tokenizer, template)
        self.first: list[BadRow] = []  # of the data sets at hand, for the words of an error
        self._tokenizer, self._template, self._check = tokenizer, template, check
        self._bos = first_id(tokenizer) if self.kind == "text" else None

    def batches(self, rows: Iterable[tuple[Source, RawRow]]) -> Iterator[tuple[int, list[Item]]]:
        """Yield how many rows have been read, and what the usable ones among the last few became."""
        batch, characters, since, done = _Batch([], []), 0, 0, 0
        for source, row in rows:
            done, since = done + 1, since + 1
            said = self._read(source, row)
            if said is not None:
                batch.rows.append((source, row))
                batch.said.append(said)
                characters += _characters(said)
            if characters >= CHARACTERS or since >= ROWS:
                yield done, self._encoded(batch)
                batch, characters, since = _Batch([], []), 0, 0
        yield done, self._encoded(batch)

    def _read(self, source: Source, row: RawRow) -> Conversation | Document | None:
        try:
            said = source.read(row)
        except UnusableRow as reason:
            self._bad(row, str(reason), empty=_holds_nothing(row.value))
            return None
        if isinstance(said, Conversation) and said.media:
            raise DataError(
                f"{row.file}, row {row.number}: names {said.media[0]}, and only text is learnt",
                "Leave the media column out of the entry in dataset_info.json to learn the text alone.",
            )
        return said

    def _encoded(self, batch: _Batch) -> list[Item]:
        self._check()
        found = []
        outcomes = self._documents(batch) if self.kind == "text" else self._dialogues(batch)
        for (_, row), outcome in zip(batch.rows, outcomes, strict=True):
            if isinstance(outcome, str):
                self._bad(row, outcome)
                continue
            self.report.truncated += outcome.lost > 0
            self.report.lost_tokens += outcome.lost
            self.report.dropped_turns += outcome.dropped_turns
            found.append(Item(row.file, row.number, outcome))
        return found

    def _documents(self, batch: _Batch) -> Iterator[Encoded | str]:
        texts = [said.text for said in batch.said if isinstance(said, Document)]
        encoded = encode_texts(texts, self._tokenizer)
        end = self._tokenizer.eos_token_id
        return (document(encoded[text], self._bos, end) for text in texts)

    def _dialogues(self, batch: _Batch) -> Iterator[Encoded | str]:
        talks = [said for said in batch.said if isinstance(said, Conversation)]
        try:
            pieces = encode_pieces(self._template.pieces(talks, self._tokenizer), self._tokenizer)
            self.report.add_note(self._template.warning)  # a template may find out more while it is used
        except Unsplittable as error:
            row = batch.rows[error.place][1]
            raise DataError(f"{row.file}, row {row.number}: {error.message}", error.hint) from None
        encode = ENCODERS[self.kind]
        for talk, ids in zip(talks, pieces, strict=True):
            yield ids if isinstance(ids, str) else encode(talk, ids, self.masking)

    def _bad(self, row: RawRow, reason: str, *, empty: bool = False) -> None:
        self.report.add_bad(row.file, row.number, reason, empty=empty)
        if len(self.first) < REASONS:
            self.first.append(BadRow(row.file, row.number, reason))

    def nothing_left(self, sources: Sequence[Source], total: int, what: str) -> DataError:
        """Return the error for data of which no row can be used, with the first reasons."""
        names = ", ".join(source.entry.name for source in sources)
        if total == 0:
            return DataError(f"{what}: {names} has no rows", f"Look into {', '.join(s.file for s in sources)}.")
        cut_away = all(TOO_SHORT in bad.reason for bad in self.first)
        return DataError(
            f"{what}: none of the {total} rows of {names} can be used: {'; '.join(map(str, self.first))}",
            "Raise cutoff_len." if cut_away else "Mend the rows, or name the right columns in dataset_info.json.",
        )


def masking_of(options: DataOptions, tokenizer: PreTrainedTokenizerBase, template: Template) -> Masking:
    """Return what a recipe says of labels and length; raises DataError for what the template cannot do."""
    late = None if KINDS[options.stage] in ("text", "prompt") else template.late_end(tokenizer)
    if late is not None and options.train_on_prompt:
        raise DataError(
            f"template {template.name} ends answers late (efficient_eos of LLaMA-Factory), so prompts cannot be learnt",
            "Remove train_on_prompt, or use another template.",
        )
    return Masking(options.cutoff_len, options.train_on_prompt, options.mask_history, options.truncation, late)


def first_id(tokenizer: PreTrainedTokenizerBase) -> int | None:
    """Return the id that this tokenizer begins a text with, if it does."""
    ids: list[int] = tokenizer("a", verbose=False)["input_ids"]
    begin = tokenizer.bos_token_id
    return int(begin) if begin is not None and ids[:1] == [begin] else None


def _characters(said: Conversation | Document) -> int:
    if isinstance(said, Document):
        return len(said.text)
    # A system text or tools are mostly those of the row before, and tokenised once.
    return sum([len(message.content) for message in said.messages]) + (
        len(said.rejected.content) if said.rejected else 0
    )


def _holds_nothing(value: object) -> bool:
    """Whether there is no text in a row at all."""
    if isinstance(value, dict):
        return all(map(_holds_nothing, value.values()))
    if isinstance(value, list):
        return all(map(_holds_nothing, value))
    return value is None or (isinstance(value, str) and not value.strip())
