"""Every type of file gives the same rows, in pieces, again and again."""

from __future__ import annotations

import codecs
import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tuitune.data.files import BrokenLine, FileRows, data_files
from tuitune.errors import DataError

ROWS = [{"q": f"Wie heißt\nZeile {n}, «{n}»?", "a": f'say "{n}"; \t'} for n in range(1500)]


def nothing() -> None:
    """Let the reading go on."""


def write_csv(path: Path, separator: str = ",") -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerow(["q", "a"])
        writer.writerows(row.values() for row in ROWS)


def write_stream(path: Path) -> None:
    table = pyarrow.Table.from_pylist(ROWS)
    with pyarrow.ipc.new_stream(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=400)


def write_arrow(path: Path) -> None:
    table = pyarrow.Table.from_pylist(ROWS)
    with pyarrow.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=1400)


def lines(path: Path) -> None:
    path.write_text("\r\n\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS), "utf-8")


WRITERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "json": (".json", lambda path: path.write_text(json.dumps(ROWS, indent=1), "utf-8")),
    "json in lines": (".json", lines),
    "jsonl": (".jsonl", lines),
    "csv": (".csv", write_csv),
    "csv with semicolons": (".csv", lambda path: write_csv(path, ";")),
    "csv with tabs": (".csv", lambda path: write_csv(path, "\t")),
    "parquet": (".parquet", lambda path: pyarrow.parquet.write_table(pyarrow.Table.from_pylist(ROWS), path)),
    "arrow stream": (".arrow", write_stream),
    "arrow file": (".arrow", write_arrow),
}


def rows_of(path: Path) -> FileRows:
    return FileRows(data_files(path), nothing)


@pytest.mark.parametrize("case", WRITERS)
def test_every_type_gives_the_same_rows_each_time(case: str, tmp_path: Path) -> None:
    ending, write = WRITERS[case]
    path = tmp_path / f"rows{ending}"
    write(path)
    rows = rows_of(path)
    for _ in range(2):
        assert [row.value for row in rows] == ROWS
    assert {row.file for row in rows} == {str(path)}
    assert rows.expected is not None
    assert rows.expected >= len(ROWS) * 0.9
    if ending in (".json", ".parquet", ".arrow") and case != "json in lines":
        assert [row.number for row in rows] == list(range(1, len(ROWS) + 1))


def test_numbers_are_lines_where_a_file_has_lines(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('\n{"a": 1}\n\n{"a": 2}')
    (tmp_path / "a.csv").write_text('q,a\n"one\ntwo",1\nthree,2\n')
    (tmp_path / "a.txt").write_text("one\n\n  two  \n")
    assert [row.number for row in rows_of(tmp_path / "a.jsonl")] == [2, 4]
    assert [row.number for row in rows_of(tmp_path / "a.csv")] == [2, 4]
    assert [(row.number, row.value) for row in rows_of(tmp_path / "a.txt")] == [
        (1, {"text": "one"}),
        (3, {"text": "  two  "}),
    ]


def test_a_json_array_larger_than_a_window(tmp_path: Path) -> None:
    values: list[Any] = [{"n": n, "t": "ä€😀" * (n % 700), "deep": [[{"x": 1.5}]]} for n in range(4000)]
    values.insert(2000, "x" * 3_000_000)
    for indent in (None, 2):
        (tmp_path / "a.json").write_text(json.dumps(values, ensure_ascii=False, indent=indent), "utf-8")
        assert [row.value for row in rows_of(tmp_path / "a.json")] == values


def test_an_error_deep_in_an_array_has_its_line_and_column(tmp_path: Path) -> None:
    good = ["  " + json.dumps({"t": "ä" * 500})] * 3000
    (tmp_path / "a.json").write_text("[\n" + ",\n".join([*good, '  {"t": nope}']) + "\n]", "utf-8")
    taken = []
    with pytest.raises(DataError, match=r"line 3002, column 9: not valid JSON"):
        taken.extend(rows_of(tmp_path / "a.json"))
    assert len(taken) == 3000


def test_a_folder_is_its_files_by_name(tmp_path: Path) -> None:
    for name, number in (("b.jsonl", 2), ("a.jsonl", 1), ("c.jsonl", 3)):
        (tmp_path / name).write_text(json.dumps({"n": number}))
    (tmp_path / "README.md").write_text("about")
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "images").mkdir()
    rows = list(rows_of(tmp_path))
    assert [row.value for row in rows] == [{"n": 1}, {"n": 2}, {"n": 3}]
    assert [Path(row.file).name for row in rows] == ["a.jsonl", "b.jsonl", "c.jsonl"]
    (tmp_path / "d.csv").write_text("n\n4\n")
    with pytest.raises(DataError, match=r"several types: d\.csv, a\.jsonl"):
        rows_of(tmp_path)


def test_what_datasets_saves_to_disk_is_read(tmp_path: Path) -> None:
    from datasets import Dataset

    Dataset.from_list(ROWS[:10]).save_to_disk(str(tmp_path / "saved"))
    assert [row.value for row in rows_of(tmp_path / "saved")] == ROWS[:10]


def test_bad_lines_stand_in_the_place_of_rows(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(codecs.BOM_UTF8 + b'{"a": 1}\n{"a": "\xff"}\n{"a": "\0"}\n{"a"\n{"a": 2}\n')
    found = list(rows_of(tmp_path / "a.jsonl"))
    reasons = [row.value.reason for row in found if isinstance(row.value, BrokenLine)]
    assert [row.number for row in found] == [1, 2, 3, 4, 5]
    assert [reason.split(" (")[0] for reason in reasons] == [
        "byte 0xff at column 8 is not UTF-8. Save the file as UTF-8.",
        "not valid JSON at column 8",
        "not valid JSON at column 5",
    ]
    assert "a NUL byte" in reasons[1]


def test_reading_asks_whether_to_go_on(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop() -> None:
        raise Stop

    for case, (ending, write) in WRITERS.items():
        path = tmp_path / f"rows{ending}"
        write(path)
        with pytest.raises(Stop):
            list(FileRows(data_files(path), stop))
        assert case


# A child of its own; the rows are read past, not kept. What is its own counts: pages of a mapped file are resident too,
# and the system takes them back when it needs them. (`ru_maxrss` would begin with the memory of who started it.)
_PEAK = r"""
import re, sys
from pathlib import Path
from tuitune.data.files import FileRows, data_files
def own():
    return int(re.search(r"RssAnon:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
rows = FileRows(data_files(Path(sys.argv[1])), lambda: None)
next(iter(rows))
before = most = own()
for count, _ in enumerate(rows, 1):
    if count % 100 == 0:
        most = max(most, own())
print(count, most - before)
"""


@pytest.mark.parametrize("ending", [".jsonl", ".csv", ".json", ".parquet", ".arrow"])
def test_a_large_file_is_never_held(ending: str, tmp_path: Path) -> None:
    count, text = 60_000, "words " * 200
    path = tmp_path / f"big{ending}"
    if ending in (".parquet", ".arrow"):
        batch = pyarrow.RecordBatch.from_pylist([{"n": str(n), "t": text} for n in range(1000)])
        opened: Any = (
            pyarrow.parquet.ParquetWriter(path, batch.schema, compression="none", use_dictionary=False)
            if ending == ".parquet"
            else pyarrow.ipc.new_stream(str(path), batch.schema)
        )
        with opened as writer:
            for _ in range(count // 1000):
                writer.write_batch(batch)
    else:
        row = f'"7","{text}"\n' if ending == ".csv" else json.dumps({"n": "7", "t": text}) + "\n"
        body = '"n","t"\n' + row * count if ending == ".csv" else row * count
        path.write_text("[" + ",".join([row] * count) + "]" if ending == ".json" else body)
    said = subprocess.run(
        [sys.executable, "-c", _PEAK, str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    found, kilobytes = map(int, said.stdout.split())
    assert found == count
    assert path.stat().st_size > 60 << 20
    assert kilobytes < 32 << 10
