"""Several hundred damaged files, made by damaging good ones: words and a place for each, and good rows survive.

No case may raise anything but DataError, say anything a terminal would obey, or lose a row that was not damaged.
"""

from __future__ import annotations

import codecs
import csv
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tests.data.sources_given import source
from tuitune.data.conversation import UnusableRow
from tuitune.errors import DataError
from tuitune.text import clean

USER, ANSWER = {"role": "user", "content": "Q?"}, {"role": "assistant", "content": "A"}
WORSE = {"role": "assistant", "content": "B"}
TOOL = {"name": "add", "parameters": {"type": "object", "properties": {}}}
TALK: dict[str, Any] = {"messages": [USER, ANSWER, USER, ANSWER], "tools": [TOOL], "system": "s", "images": []}
# stage, entry, a good row
FORMS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "alpaca": (
        "sft",
        {"columns": {"prompt": "q", "query": "i", "response": "a", "history": "h", "system": "s"}},
        {"q": "Q", "i": "I", "a": "A", "h": [["x", "y"]], "s": "S"},
    ),
    "openai": (
        "sft",
        {"formatting": "openai", "columns": {k: k for k in ("messages", "tools", "system", "images")}},
        TALK,
    ),
    "sharegpt": (
        "sft",
        {"formatting": "sharegpt"},
        {"conversations": [{"from": "human", "value": "Q"}, {"from": "gpt", "value": "A"}]},
    ),
    "pair": ("dpo", {"ranking": True}, {"instruction": "Q", "chosen": "A", "rejected": "B"}),
    "pair of messages": (
        "dpo",
        {"ranking": True, "formatting": "openai"},
        {"messages": [USER], "chosen": ANSWER, "rejected": WORSE},
    ),
    "label": (
        "kto",
        {"columns": {"prompt": "q", "response": "a", "kto_tag": "l"}},
        {"q": "Q", "a": "A", "l": True},
    ),
    "prompt": ("grpo", {"columns": {"prompt": "q", "response": "a"}}, {"q": "Q", "a": "A"}),
    "text": ("pt", {"columns": {"prompt": "t"}}, {"t": "T"}),
}
# What may stand where something else belongs; some of it is allowed in some places.
WRONG: dict[str, Any] = {
    "null": None,
    "empty": "",
    "blank": " \n\t ",
    "number": 7,
    "huge": 10**30,
    "real": -1.5e300,
    "bool": False,
    "list": [],
    "list of text": ["x"],
    "list of lists": [[[[]]]],
    "list of null": [None, None],
    "object": {},
    "object of nothing": {"": None},
    "nul": "a\0b",
    "escapes": {"\x1b[31m\x1b]52;c;eA==\x07": "\x1b[2J"},
    "role": [{"role": "\x1b[31mrobot", "content": "x"}],
    "deep": json.loads("[" * 400 + "]" * 400),
}
ALLOWED = {
    "alpaca": {
        ("i", "null"), ("i", "empty"), ("i", "blank"), ("h", "null"), ("h", "empty"), ("h", "list"), ("s", "null"),
        ("s", "empty"), ("s", "blank"), ("q", "null"), ("q", "empty"), ("q", "blank"),
    },
    "openai": {(c, w) for c in ("tools", "system", "images") for w in ("null", "empty")}
    | {("tools", "list"), ("images", "list"), ("tools", "blank"), ("system", "blank")},
    "label": {("l", "bool")},
    "prompt": {("a", word) for word in WRONG if word != "role"},
}  # fmt: skip


def row_cases() -> Iterator[tuple[str, str, dict[str, Any], dict[str, Any], Any, bool]]:
    """Yield name, stage, entry, good row, damaged row, and whether the damaged one may be good all the same."""
    for form, (stage, entry, good) in FORMS.items():
        for whole in ("null", "number", "empty", "list", "object", "list of text", "bool"):
            yield f"{form}: the row is {whole}", stage, entry, good, WRONG[whole], False
        for column in good:
            rest = {key: value for key, value in good.items() if key != column}
            free = (column, "null") in ALLOWED.get(form, ()) and column != "q"
            yield f"{form}: no {column}", stage, entry, good, rest, free or (form, column) == ("prompt", "a")
            for name, value in WRONG.items():
                yield f"{form}: {column} is {name}", stage, entry, good, good | {column: value}, (
                    (column, name) in ALLOWED.get(form, ())
                )  # fmt: skip


CASES = {case[0]: case[1:] for case in row_cases()}


def outcome(root: Path, *what: Any, **entry: Any) -> tuple[int, list[tuple[int, str]], str]:
    """Return the number of good rows, the bad ones, and the words of the error that ended the reading."""
    good, bad = 0, []
    try:
        found = source(root, *what, **entry)
        for row in found.rows:
            try:
                found.read(row)
                good += 1
            except UnusableRow as reason:
                bad.append((row.number, str(reason)))
    except DataError as error:
        sober(error.message)
        sober(error.hint)
        return good, bad, f"{error.message} | {error.hint}"
    for _, reason in bad:
        sober(reason)
    return good, bad, ""


def sober(text: str) -> None:
    """Fail if `text` is long, of several lines, or holds what a terminal obeys."""
    assert text == clean(text)
    assert "\n" not in text
    assert len(text) < 1200
    assert "Traceback" not in text


def test_there_are_enough_of_them() -> None:
    assert len(CASES) + len(FILES) + len(CELLS) > 400


@pytest.mark.parametrize("form", FORMS)
def test_one_damaged_row_among_good_ones(form: str, tmp_path: Path) -> None:
    for name, (stage, entry, good, damaged, allowed) in CASES.items():
        if not name.startswith(f"{form}: "):
            continue
        lines = "\n".join(json.dumps(row) for row in (good, good, damaged, good))
        found, bad, error = outcome(tmp_path, lines, stage, "rows.jsonl", **dict(entry))
        assert not error, name
        if allowed:
            assert (found, bad) == (4, []), name
        else:
            assert (found, [number for number, _ in bad]) == (3, [3]), name
            assert len(bad[0][1]) > 8, name


@pytest.mark.parametrize("form", FORMS)
def test_nothing_but_damaged_rows(form: str, tmp_path: Path) -> None:
    for name, (stage, entry, _, damaged, allowed) in CASES.items():
        if not allowed and name.startswith(f"{form}: "):
            found, bad, error = outcome(tmp_path, [damaged] * 3, stage, **dict(entry))
            assert found == 0, name
            # All three are bad; or the whole data set is refused: a column that no row has.
            assert len(bad) == 3 or "rows.json" in error or "'rows'" in error, name


@pytest.mark.parametrize("form", FORMS)
def test_damaged_rows_do_not_mislead_the_recognition_of_columns(form: str, tmp_path: Path) -> None:
    stage = FORMS[form][0]
    for name, (_, _, _, damaged, _) in CASES.items():
        if name.startswith(f"{form}: "):
            outcome(tmp_path, [damaged] * 2, stage, guessed=True)


LINE = json.dumps({"instruction": "Q", "output": "A"}).encode()


def jsonl(*lines: bytes) -> bytes:
    return b"\n".join((LINE, *lines, LINE))


def table(rows: list[dict[str, Any]]) -> bytes:
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), sink)
    return bytes(sink.getvalue().to_pybytes())


def stream(rows: list[dict[str, Any]]) -> bytes:
    sink = pyarrow.BufferOutputStream()
    data = pyarrow.Table.from_pylist(rows)
    with pyarrow.ipc.new_stream(sink, data.schema) as writer:
        writer.write_table(data)
    return bytes(sink.getvalue().to_pybytes())


ROWS = [{"instruction": f"Q{n}", "output": "A"} for n in range(50)]
PARQUET, ARROW, ARRAY = table(ROWS), stream(ROWS), json.dumps(ROWS).encode()
HEAD = b"instruction,output\n"
# ending, content, good rows (None: the whole file is refused), what is said
FILES: dict[str, tuple[str, bytes, int | None, str]] = {
    "empty json": ("json", b"", None, "is empty"),
    "empty jsonl": ("jsonl", b"", 0, ""),
    "empty csv": ("csv", b"", None, "is empty"),
    "empty txt": ("txt", b"", 0, ""),
    "empty parquet": ("parquet", b"", None, "cannot be read as parquet"),
    "empty arrow": ("arrow", b"", None, "cannot be read as arrow"),
    "header alone": ("csv", HEAD, 0, ""),
    "mark alone": ("json", codecs.BOM_UTF8, None, "is empty"),
    "mark before csv": ("csv", codecs.BOM_UTF8 + HEAD + b"Q,A\n", 1, ""),
    "mark before jsonl": ("jsonl", codecs.BOM_UTF8 + LINE, 1, ""),
    "CRLF": ("jsonl", LINE + b"\r\n\r\n" + LINE + b"\r\n", 2, ""),
    "CR in csv": ("csv", b"instruction,output\r\nQ,A\r\nQ,A\r\n", 2, ""),
    "broken line": ("jsonl", jsonl(LINE[:-4]), 2, "not valid JSON at column"),
    "two on a line": ("jsonl", jsonl(LINE + LINE), 2, "not valid JSON at column"),
    "python's words": ("jsonl", jsonl(b"{'instruction': None}"), 2, "not valid JSON at column 2"),
    "comment": ("jsonl", jsonl(b"# more"), 2, "not valid JSON at column 1"),
    "NaN": ("jsonl", jsonl(b'{"instruction": NaN}'), 2, "not valid JSON"),
    "infinity": ("jsonl", jsonl(b'{"instruction": 1e999}'), 2, "not valid JSON"),
    "half a surrogate": ("jsonl", jsonl(rb'{"instruction": "\ud800", "output": "A"}'), 2, "not valid JSON"),
    "half a surrogate in an array": (
        "json", rb'[{"instruction": "\ud800", "output": "A"}, {"instruction": "Q", "output": "A"}]', 1, "surrogate",
    ),
    "escaped control": ("jsonl", jsonl(rb'{"instruction": "\u0000", "output": "A"}'), 2, "NUL"),
    "raw control": ("jsonl", jsonl(b'{"instruction": "\x1b[31m", "output": "A"}'), 2, "not valid JSON"),
    "byte of latin-1": ("jsonl", jsonl(b'{"instruction": "caf\xe9", "output": "A"}'), 2, "byte 0xe9"),
    "NUL byte": ("jsonl", jsonl(b'{"instruction": "\0", "output": "A"}'), 2, "a NUL byte"),
    "deep": ("jsonl", jsonl(b"[" * 5000), 2, "not valid JSON"),
    "deep and closed": ("jsonl", jsonl(b'{"instruction":' + b"[" * 900 + b"]" * 900 + b"}"), 2, "is a list"),
    "twice the same key": ("jsonl", jsonl(b'{"instruction": 1, "instruction": "Q", "output": "A"}'), 3, ""),
    "long number": ("jsonl", jsonl(b'{"instruction": ' + b"9" * 6000 + b', "output": "A"}'), 2, ""),
    "utf-16": ("jsonl", codecs.BOM_UTF16_LE + LINE.decode().encode("utf-16-le"), None, "is UTF-16"),
    "utf-16 big": ("csv", codecs.BOM_UTF16_BE + HEAD.decode().encode("utf-16-be"), None, "is UTF-16"),
    "utf-16 without mark": ("jsonl", LINE.decode().encode("utf-16-le"), None, "a NUL byte"),
    "utf-32": ("txt", codecs.BOM_UTF32_LE + b"x\0\0\0", None, "is UTF-32"),
    "binary json": ("json", bytes(range(256)), None, "line 1: a NUL byte"),
    "binary txt": ("txt", bytes(range(1, 256)), 1, "is not UTF-8"),
    "gzip": ("jsonl", b"\x1f\x8b\x08\0\0", None, "is a gzip file"),
    "zip": ("csv", b"PK\x03\x04\0", None, "is a zip file"),
    "zstd": ("jsonl", b"\x28\xb5\x2f\xfd\0", None, "is a zstd file"),
    "parquet named json": ("json", PARQUET, None, "is a parquet file"),
    "sqlite": ("txt", b"SQLite format 3\0", None, "is a SQLite file"),
    "pdf": ("txt", b"%PDF-1.7", None, "is a PDF file"),
    "array named jsonl": ("jsonl", ARRAY, None, "Rename the file to .json"),
    "object": ("json", b'{"rows": []}', None, "holds an object"),
    "text": ("json", b'"rows"', None, "holds text"),
    "word": ("json", b"rows", None, "line 1, column 1: not valid JSON"),
    "no comma": ("json", b"[{} {}]", None, "goes on without a comma"),
    "two commas": ("json", b"[{},,{}]", None, "line 1, column 5"),
    "comma at the end": ("json", b"[{},]", None, "line 1, column 5"),
    "something after": ("json", b"[{}] {}", None, "something follows the array"),
    "never closed": ("json", b"[{},\n{}", None, "line 2, column 3"),
    "closed by }": ("json", b"[{}}", None, "line 1, column 4"),
    "an array of arrays": ("json", b"[[], [[]]]", 0, ""),
    "latin-1 late in an array": ("json", b'[{"a": "' + b"x" * 3_000_000 + b'"},\n"\xe9"]', None, "line 2: byte 0xe9"),
    "cut within a letter": ("json", '["é"]'.encode()[:3], None, "byte 0xc3 is not UTF-8"),
    "ragged": ("csv", HEAD + b"Q\nQ,A\nQ,A,B\n", 1, "has 1 cell, the header names 2 cells"),
    "quote never closed": ("csv", HEAD + b'Q,A\n"Q,A\nQ,A\n', 1, "never closed"),
    "text after a quote": ("csv", HEAD + b'"Q"x,A\nQ,A\n', 1, "not valid csv"),
    "two columns of a name": ("csv", b"a,a\n1,2\n", None, "names the column 'a' twice"),
    "no names": ("csv", b",\n1,2\n", None, "names no columns"),
    "header with a quote": ("csv", b'"a\n1,2\n', None, "line 1: not valid csv"),
    "pandas's numbers": ("csv", b",instruction,output\n0,Q,A\n", 1, ""),
    "byte in csv": ("csv", HEAD + b"caf\xe9,A\nQ,A\n", 1, "byte 0xe9 is not UTF-8"),
    "NUL in csv": ("csv", HEAD + b"Q\0,A\nQ,A\n", 1, "NUL"),
    "empty cells": ("csv", HEAD + b",\nQ,A\n", 1, "is empty"),
    "long field": ("csv", HEAD + b"Q," + b"x" * 200_000 + b"\n", 1, ""),
    "byte in txt": ("txt", b"one\n\xe9\nthree", 2, "byte 0xe9"),
    "random bytes named parquet": ("parquet", b"x" * 1000, None, "cannot be read as parquet"),
    "random bytes named arrow": ("arrow", b"x" * 1000, None, "cannot be read as arrow"),
    "50 MB on one line": ("jsonl", jsonl(b'{"instruction": "Q", "output": "' + b"x" * 50_000_000 + b'"}'), 3, ""),
    "50 MB of nothing": ("jsonl", jsonl(b"x" * 50_000_000), 2, "not valid JSON at column 1"),
    **{f"parquet cut to {share}%": ("parquet", PARQUET[: len(PARQUET) * share // 100], None, "as parquet")
       for share in (1, 10, 25, 50, 75, 90, 99)},
    **{f"arrow cut to {share}%": ("arrow", ARROW[: len(ARROW) * share // 100], None, "as arrow")
       for share in (1, 10, 25, 50, 75)},
    **{f"array cut to {share}%": ("json", ARRAY[: len(ARRAY) * share // 100], None, "line 1, column")
       for share in (1, 10, 25, 50, 75, 90, 99)},
    **{f"jsonl cut to {share}%": ("jsonl", (LINE + b"\n") * share + LINE[: len(LINE) * share // 100], share, "column")
       for share in (10, 25, 50, 75, 90)},
}  # fmt: skip


@pytest.mark.parametrize("case", FILES)
def test_damaged_files(case: str, tmp_path: Path) -> None:
    ending, content, good, words = FILES[case]
    stage = "pt" if ending == "txt" else "sft"
    found, bad, error = outcome(tmp_path, content, stage, f"rows.{ending}", guessed=True)
    if good is None:
        assert words in error
        assert f"rows.{ending}" in error
        return
    assert (found, error) == (good, "")
    assert any(words in reason for _, reason in bad) if words else True


@pytest.mark.parametrize("name", ["parquet", "arrow"])
def test_a_flipped_bit_is_never_a_traceback(name: str, tmp_path: Path) -> None:
    content = PARQUET if name == "parquet" else ARROW
    for place in range(0, len(content), max(1, len(content) // 120)):
        damaged = bytearray(content)
        damaged[place] ^= 0x55
        outcome(tmp_path, bytes(damaged), "sft", f"rows.{name}", guessed=True)


# Cells of tables with types of their own.
CELLS: dict[str, tuple[Any, str]] = {
    "bytes": (b"\xff", "bytes"),
    "number": (5, "a number"),
    "real": (5.0, "a number"),
    "bool": (True, "true or false"),
    "null": (None, "null"),
    "list": ([1], "a list"),
    "struct": ({"a": 1}, "an object"),
    "decimal": (__import__("decimal").Decimal("1.5"), "Decimal"),
    "date": (__import__("datetime").date(2026, 1, 1), "date"),
    "time": (__import__("datetime").datetime(2026, 1, 1), "datetime"),
    "duration": (__import__("datetime").timedelta(1), "timedelta"),
}


@pytest.mark.parametrize("case", CELLS)
@pytest.mark.parametrize("write", [table, stream], ids=["parquet", "arrow"])
def test_cells_of_other_types(case: str, write: Callable[[list[dict[str, Any]]], bytes], tmp_path: Path) -> None:
    value, words = CELLS[case]
    name = f"rows.{'parquet' if write is table else 'arrow'}"
    found, bad, error = outcome(tmp_path, write([{"instruction": "Q", "output": value}]), "sft", name, guessed=True)
    assert (found, error) == (0, "")
    assert f"column 'output' is {words}" in bad[0][1]


def test_names_that_a_terminal_would_obey_are_shown_as_text(tmp_path: Path) -> None:
    evil = "\x1b]52;c;eA==\x07\x1b[31m\u202e"
    for row in ({evil: 1}, {evil: 1, "instruction": "Q"}, {"instruction": "Q", "output": {evil: evil}}):
        for stage in ("sft", "dpo", "kto", "pt", "grpo"):
            outcome(tmp_path, [row], stage, guessed=True)
            outcome(tmp_path, [row], stage)
    sink = io.StringIO()
    csv.writer(sink).writerows([[evil, evil + "2"], ["a", "b"]])
    outcome(tmp_path, sink.getvalue(), "sft", "rows.csv", guessed=True)
    outcome(tmp_path, sink.getvalue().replace("2", ""), "sft", "rows.csv", guessed=True)
