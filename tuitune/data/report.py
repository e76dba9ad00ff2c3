"""What was read, what was left out and why."""

from __future__ import annotations

from dataclasses import dataclass, field

KEPT_IN_DETAIL = 1_000
DUPLICATES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class BadRow:
    """One row that is not trained on; rows count from 1 (jsonl: the line number)."""

    file: str
    row: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, row {self.row}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A row that becomes the same tokens as an earlier one; it is trained on all the same."""

    file: str
    row: int
    same_file: str
    same_row: int

    def __str__(self) -> str:
        elsewhere = "" if self.file == self.same_file else f"{self.same_file}, "
        return f"{self.file}, row {self.row}: the same as {elsewhere}row {self.same_row}"


@dataclass
class DataReport:
    """Counts for the rows trained on, and every row that is not.

    examples: what the rows became: as many as rows, fewer with packing, more where long texts are cut into pieces.
    """

    rows: int = 0
    evaluation_rows: int = 0
    examples: int = 0
    evaluation_examples: int = 0
    bad: list[BadRow] = field(default_factory=list)  # the first KEPT_IN_DETAIL of bad_count
    bad_count: int = 0
    empty: int = 0  # of the bad ones, those without any text
    truncated: int = 0  # rows that lost tokens or whole turns to cutoff_len, evaluation rows included
    lost_tokens: int = 0
    dropped_turns: int = 0
    duplicates: int = 0  # rows that equal an earlier one of the training or the evaluation set
    duplicate_rows: list[Duplicate] = field(default_factory=list)  # the first DUPLICATES_SHOWN of them
    tokens: int = 0
    labelled_tokens: int = 0
    longest: int = 0
    notes: list[str] = field(default_factory=list)
    facts: list[str] = field(default_factory=list)  # what is worth a line and asks nothing of the user

    @property
    def labelled_share(self) -> float:
        """Which share of the training tokens is learnt."""
        return self.labelled_tokens / max(self.tokens, 1)

    def add_bad(self, file: str, row: int, reason: str, *, empty: bool = False) -> None:
        """Count a bad row, and keep its details while there is room."""
        self.bad_count += 1
        self.empty += empty
        if len(self.bad) < KEPT_IN_DETAIL:
            self.bad.append(BadRow(file, row, reason))

    def add_note(self, note: str) -> None:
        """Keep a sentence for the user, once."""
        if note and note not in self.notes:
            self.notes.append(note)

    def first_reasons(self, count: int = 3) -> str:
        """Return the first bad rows in words, and how many more there are; nothing if every row is good."""
        lines = [str(bad) for bad in self.bad[:count]]
        more = self.bad_count - len(lines)
        return "; ".join([*lines, f"and {more} more"] if more else lines)
