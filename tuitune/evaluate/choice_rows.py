"""From the rows of a benchmark's file to questions; what is wrong with a row is said with its place and the reason.

A csv file may have a header (question, A, B, ..., answer; `Question` and `Answer` as in CMMLU; other columns are left
alone) or none, then its cells are the question, the options and the answer, as in MMLU. A row of jsonl or parquet has
the same names, or `choices` with a list and `answer` with a letter or, counted from 0, a number.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tuitune.data.files.disk import UTF8
from tuitune.data.files.lines import parsed
from tuitune.data.files.row import BrokenLine
from tuitune.errors import DataError
from tuitune.evaluate.choice_files import File

LETTERS = "ABCDEFGHIJ"
_LISTS = ("choices", "options")
_NEEDED = "a question, at least two options A, B, ... and an answer"


@dataclass(frozen=True)
class Question:
    """A question with its options in order; `answer` is the letter of the right one, "" where nobody says."""

    subject: str
    number: int
    text: str
    options: tuple[str, ...]
    answer: str
    place: str = ""

    @property
    def letters(self) -> str:
        """The letters of its options."""
        return LETTERS[: len(self.options)]


def questions_of(file: File) -> Iterator[Question]:
    """Yield the questions of a file. Raises DataError at the first row that is none."""
    for number, (line, row) in enumerate(_rows(file), 1):
        place = f"{file.place}, {line}"
        if isinstance(row, BrokenLine):
            raise DataError(f"{place}: {row.reason}", "mend the row or remove it")
        yield _question(row, file.subject, number, place)


def _rows(file: File) -> Iterator[tuple[str, Mapping[str, object] | BrokenLine]]:
    if file.suffix == ".parquet":
        yield from _parquet(file)
        return
    lines = _csv(file) if file.suffix == ".csv" else _jsonl(file)
    for number, row in lines:
        yield f"line {number}", row


def _csv(file: File) -> Iterator[tuple[int, Mapping[str, object] | BrokenLine]]:
    try:
        text = file.content().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{file.place}: byte {error.start} is not UTF-8", UTF8) from error
    csv.field_size_limit(1 << 26)
    reader, header = csv.reader(io.StringIO(text, newline=""), strict=True), None
    number = 1
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield number, BrokenLine(f"not valid csv: {error}")
            return
        if not cells:
            continue
        if header is None:
            header = _header(cells)
            if _is_header(cells):
                continue
        yield number, _paired(cells, header)


def _is_header(cells: Sequence[str]) -> bool:
    names = {cell.strip().lower() for cell in cells}
    return "question" in names and bool(names & {"a", "answer"})


def _header(cells: Sequence[str]) -> list[str]:
    """Return the names of the columns; those that the first row has, if it names any."""
    if _is_header(cells):
        return [cell.strip() for cell in cells]
    return ["question", *LETTERS[: max(0, len(cells) - 2)], "answer"]


def _paired(cells: Sequence[str], header: Sequence[str]) -> Mapping[str, object] | BrokenLine:
    if len(cells) != len(header):
        return BrokenLine(f"the row has {len(cells)} cells, the first one has {len(header)}")
    return dict(zip(header, cells, strict=True))


def _jsonl(file: File) -> Iterator[tuple[int, Mapping[str, object] | BrokenLine]]:
    for number, line in enumerate(file.content().removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        if line.strip():
            row = parsed(line)
            yield number, row if isinstance(row, dict | BrokenLine) else BrokenLine("the line is no object")


def _parquet(file: File) -> Iterator[tuple[str, Mapping[str, object]]]:
    import pyarrow
    import pyarrow.parquet

    try:
        rows = pyarrow.parquet.read_table(pyarrow.BufferReader(file.content()), use_threads=False).to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{file.place} cannot be read as parquet: {str(error)[:200]}", "fetch it again") from error
    for number, row in enumerate(rows, 1):
        yield f"row {number}", row


def _question(row: Mapping[str, object], subject: str, number: int, place: str) -> Question:
    named = {name.strip().lower(): value for name, value in row.items() if isinstance(name, str)}
    text, options = named.get("question"), _options(row, named)
    if not isinstance(text, str) or not text.strip() or len(options) < 2:
        raise DataError(f"{place}: the row has no question, or fewer than two options", f"each row needs {_NEEDED}")
    own = named.get("subject")
    answer = _answer(named.get("answer"), len(options), place)
    return Question(subject or (own if isinstance(own, str) else ""), number, text.strip(), options, answer, place)


def _options(row: Mapping[str, object], named: Mapping[str, object]) -> tuple[str, ...]:
    """Return the options: columns A, B, C, ... as far as they go, or a list."""
    for name in _LISTS:
        listed = named.get(name)
        if isinstance(listed, Mapping):  # ARC's form: {"text": [...], "label": [...]}
            listed = listed.get("text")
        if isinstance(listed, list) and len(listed) <= len(LETTERS) and all(isinstance(each, str) for each in listed):
            return tuple(each.strip() for each in listed)
    lettered = {name.strip(): value for name, value in row.items() if isinstance(name, str)}
    found: list[str] = []
    for letter in LETTERS:
        value = lettered.get(letter)
        if not isinstance(value, str | int | float):
            break
        found.append(str(value).strip())
    while len(found) > 2 and not found[-1]:  # a column that only other questions need
        found.pop()
    return tuple(found)


def _answer(value: object, options: int, place: str) -> str:
    """Return the letter of the right option, "" where the file does not tell."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < options:
        return LETTERS[value]
    word = value.strip().upper() if isinstance(value, str) else "" if value is None else "?"
    if word == "" or (len(word) == 1 and word in LETTERS[:options]):
        return word
    raise DataError(
        f"{place}: the answer is none of {', '.join(LETTERS[:options])}",
        "it is the letter of an option, or, in jsonl and parquet, its number from 0",
    )
