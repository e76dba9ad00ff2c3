"""What was read, what was left out and why."""

from __future__ import annotations

from dataclasses import dataclass, field

KEPT_IN_DETAIL = 1_000


@dataclass(frozen=True, slots=True)
class BadRow:
    """One row that is not trained on; rows count from 1 (jsonl: the line number)."""

    file: str
    row: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, row {self.row}: {self.reason}"


@dataclass
class DataReport:
    """Counts for the rows trained on, and every row that is not."""

    rows: int = 0
    evaluation_rows: int = 0
    bad: list[BadRow] = field(default_factory=list)  # the first KEPT_IN_DETAIL of bad_count
    bad_count: int = 0
    truncated: int = 0  # rows that lost tokens or whole turns to cutoff_len, evaluation rows included
    dropped_turns: int = 0
    tokens: int = 0
    labelled_tokens: int = 0
    longest: int = 0
    notes: list[str] = field(default_factory=list)

    def add_bad(self, file: str, row: int, reason: str) -> None:
        """Count a bad row, and keep its details while there is room."""
        self.bad_count += 1
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
