"""Broken data of every kind we could think of: the message is clear, names the place, and is never a traceback."""

from __future__ import annotations

import codecs
import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.data.given import Given, alpaca, folder
from tests.tiny import tiny_tokenizer
from tuitune.data import build
from tuitune.errors import DataError

GOOD = alpaca(1)[0]
USER = {"role": "user", "content": "One?"}
ANSWER = {"role": "assistant", "content": "1"}
HUMAN = {"from": "human", "value": "One?"}
GPT = {"from": "gpt", "value": "1"}
TEXT = json.dumps([GOOD])


def one(**changes: object) -> dict[str, object]:
    """Return the good row with columns changed; a column set to ... is taken out."""
    return {key: value for key, value in {**GOOD, **changes}.items() if value is not ...}


# A whole file that cannot be read: ending, content, what the message must say.
FILES: dict[str, tuple[str, object, list[str]]] = {
    "empty json": ("json", "", ["rows.json is empty"]),
    "only blanks": ("json", " \n ", ["rows.json is empty"]),
    "truncated array": ("json", TEXT[:-5], ["rows.json, line 1, column", "not valid JSON"]),
    "truncated on line 3": ("json", '[\n{"instruction": "a"},\n{"instr', ["line 3, column"]),
    "object": ("json", {"data": [GOOD]}, ["holds an object, not an array"]),
    "number": ("json", "7", ["holds a number, not an array"]),
    "json named jsonl": ("jsonl", f"[\n{json.dumps(GOOD)}\n]", ["begins with [", "Rename the file to .json."]),
    "one line named jsonl": ("jsonl", TEXT, ["begins with [", "Rename the file to .json."]),
    "two objects": ("json", f"{json.dumps(GOOD)} {json.dumps(GOOD)}", ["line 1", "something follows the first value"]),
    "trailing comma": ("json", f"[{json.dumps(GOOD)},]", ["line 1", "not valid JSON"]),
    "NaN": ("json", '[{"instruction": NaN}]', ["line 1", "not valid JSON"]),
    "deep nesting": ("json", "[" * 5000, ["not valid JSON"]),
    "utf-16": ("json", codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le"), ["is UTF-16", "Save the file as UTF-8"]),
    "utf-16 without mark": ("json", TEXT.encode("utf-16-le"), ["line 1: a NUL byte", "UTF-8"]),
    "utf-32": ("json", codecs.BOM_UTF32_LE + TEXT.encode("utf-32-le"), ["is UTF-32"]),
    "latin-1": ("json", '[\n"caf\xe9"]'.encode("latin-1"), ["line 2: byte 0xe9 is not UTF-8"]),
    "latin-1 jsonl": ("jsonl", b'{"b": "\xff"}', ["row 1: byte 0xff at column 8 is not UTF-8"]),
    "raw NUL": ("jsonl", b'{"b": "\0"}', ["line 1: a NUL byte"]),
    "empty array": ("json", "[]", ["rows has no rows"]),
    "empty jsonl": ("jsonl", "\n\n", ["rows has no rows"]),
    "unknown ending": ("xlsx", "instruction,output\na,b\n", [".xlsx", "are not read", "Use .json, .jsonl, .csv"]),
    "no ending": ("", TEXT, ["(no ending)", "are not read"]),
    "gzip": ("json", b"\x1f\x8b\x08\x00", ["is a gzip file, whatever its name says", "Unpack it"]),
}

# One bad row between two good ones: formatting, the row, what its reason must say.
ROWS: dict[str, tuple[str, object, str]] = {
    "text": ("alpaca", "hello", "the row is text, not an object"),
    "list": ("alpaca", [1], "the row is a list"),
    "null": ("alpaca", None, "the row is null"),
    "bool": ("alpaca", True, "the row is true or false"),
    "empty object": ("alpaca", {}, "no column 'instruction'; the row has none"),
    "no instruction": ("alpaca", one(instruction=...), "no column 'instruction'; the row has 'input', 'output'"),
    "no output": ("alpaca", one(output=...), "no column 'output'"),
    "null output": ("alpaca", one(output=None), "'output' is null"),
    "number output": ("alpaca", one(output=5), "'output' is a number"),
    "huge number": ("alpaca", one(output=10**40), "'output' is a number"),
    "list output": ("alpaca", one(output=["a"]), "'output' is a list"),
    "empty output": ("alpaca", one(output=""), "'output' is empty"),
    "blank output": ("alpaca", one(output=" \n\t"), "'output' is empty"),
    "empty prompt": ("alpaca", one(instruction=""), "the prompt is empty"),
    "null prompt": ("alpaca", one(instruction=None), "the prompt is empty"),
    "number prompt": ("alpaca", one(instruction=1.5), "'instruction' is a number"),
    "object input": ("alpaca", one(input={}), "'input' is an object"),
    "escaped NUL": ("alpaca", one(output="a\0b"), "holds a NUL character"),
    "no messages": ("openai", {"text": "x"}, "no column 'messages'; the row has 'text'"),
    "null messages": ("openai", {"messages": None}, "'messages' is null"),
    "messages as text": ("openai", {"messages": "hi"}, "'messages' is text"),
    "empty messages": ("openai", {"messages": []}, "'messages' is empty"),
    "message as text": ("openai", {"messages": ["hi"]}, "message 1 is text"),
    "no role": ("openai", {"messages": [{"content": "x"}]}, "message 1 has no 'role'; it has 'content'"),
    "null role": ("openai", {"messages": [{"role": None, "content": "x"}]}, "unknown role null"),
    "list role": ("openai", {"messages": [{"role": [], "content": "x"}]}, "unknown role a list"),
    "unknown role": (
        "openai",
        {"messages": [{"role": "robot", "content": "x"}]},
        "unknown role 'robot'; known are user",
    ),
    "no content": ("openai", {"messages": [{"role": "user"}]}, "message 1 has no 'content'"),
    "null content": ("openai", {"messages": [USER, {**ANSWER, "content": None}]}, "content of message 2 is null"),
    "empty content": ("openai", {"messages": [USER, {**ANSWER, "content": ""}]}, "content of message 2 is empty"),
    "image part": ("openai", {"messages": [{"role": "user", "content": [{"type": "image"}]}, ANSWER]}, "1 <image>"),
    "unknown part": ("openai", {"messages": [{"role": "user", "content": [{"type": "form"}]}, ANSWER]}, "part (form)"),
    "tool call": ("openai", {"messages": [USER, {**ANSWER, "tool_calls": [{"id": "a"}]}]}, "a call has no name"),
    "tool role": ("openai", {"messages": [USER, ANSWER, {"role": "tool", "content": "x"}]}, "3, is from the tool"),
    "no answer": ("openai", {"messages": [USER]}, "there is no answer to train on"),
    "ends with the user": ("openai", {"messages": [USER, ANSWER, USER]}, "the last message, 3, is from the user"),
    "begins with the assistant": (
        "openai",
        {"messages": [ANSWER, USER]},
        "message 1 is from the assistant, where the user",
    ),
    "two users": ("openai", {"messages": [USER, USER, ANSWER]}, "message 2 is from the user, where the assistant"),
    "late system": (
        "openai",
        {"messages": [USER, {"role": "system", "content": "x"}, ANSWER]},
        "message 2 is a system",
    ),
    "system alone": ("openai", {"messages": [{"role": "system", "content": "x"}]}, "nothing else"),
    "two bots": ("sharegpt", {"conversations": [HUMAN, GPT, GPT]}, "message 3 is from the assistant"),
    "function call": ("sharegpt", {"conversations": [HUMAN, {"from": "function_call", "value": "{}"}]}, "call"),
    "no value": ("sharegpt", {"conversations": [{"from": "human"}]}, "message 1 has no 'value'"),
    "other tags": ("sharegpt", {"conversations": [USER, ANSWER]}, "message 1 has no 'from'; it has 'role', 'content'"),
}
GOODS: dict[str, dict[str, Any]] = {
    "alpaca": dict(GOOD),
    "openai": {"messages": [USER, ANSWER]},
    "sharegpt": {"conversations": [HUMAN, GPT]},
}

# The catalog itself: its content, what the message must say.
CATALOGS: dict[str, tuple[object, list[str]]] = {
    "not json": ("{,}", ["dataset_info.json, line 1, column 2", "not valid JSON"]),
    "an array": ("[]", ["dataset_info.json holds a list"]),
    "empty": ("", ["dataset_info.json, line 1"]),
    "deep": ('{"rows":' * 100_000, ["dataset_info.json"]),
    "wrong encoding": (b'{"r\xff": {}}', ["dataset_info.json, line 1: byte 0xff"]),
    "a name twice": ('{"rows": {"file_name": "a.json"}, "rows": {"file_name": "b.json"}}', ["names 'rows' twice"]),
    "unknown name": ({"rowz": {"file_name": "a.json"}}, ["no data set 'rows'", "Did you mean 'rowz'?"]),
    "nothing near": ({"other": {}}, ["no data set 'rows'", "It has: other"]),
    "entry is text": ({"rows": "a.json"}, ["'rows' is text, not an object"]),
    "no file": ({"rows": {}}, ["'rows' has no file_name"]),
    "file is a number": ({"rows": {"file_name": 1}}, ["'rows' has no file_name"]),
    "unknown key": ({"rows": {"file_name": "a.json", "formating": "alpaca"}}, ["'formating'", "'formatting'"]),
    "unknown format": ({"rows": {"file_name": "a.json", "formatting": "csv"}}, ["formatting is 'csv'", "sharegpt"]),
    "unknown column": (
        {"rows": {"file_name": "a.json", "columns": {"promt": "q"}}},
        ["columns", "'promt'", "'prompt'"],
    ),
    "columns a list": ({"rows": {"file_name": "a.json", "columns": []}}, ["columns is a list"]),
    "column a number": ({"rows": {"file_name": "a.json", "columns": {"prompt": 1}}}, ["prompt is a number"]),
    "column left out": ({"rows": {"file_name": "a.json", "columns": {"prompt": "q"}}}, ["does not name response"]),
    "tag left out": (
        {"rows": {"file_name": "a.json", "formatting": "sharegpt", "tags": {"role_tag": "role"}}},
        ["tags does not name content_tag"],
    ),
    "modelscope": ({"rows": {"ms_hub_url": "some/where"}}, ["library modelscope is not installed", "pip install"]),
    "modelers": ({"rows": {"om_hub_url": "some/where"}}, ["library openmind_hub is not installed", "pip install"]),
    "script": ({"rows": {"script_url": "x"}}, ["script_url names a program of others", "file_name"]),
    "cloud": ({"rows": {"cloud_file_name": "s3://x"}}, ["cloud_file_name names a bucket", "file_name"]),
    "hub is a number": ({"rows": {"hf_hub_url": 7}}, ["hf_hub_url is a number"]),
    "empty subset": ({"rows": {"hf_hub_url": "a/b", "subset": ""}}, ["subset is empty"]),
    "ranking is text": ({"rows": {"file_name": "a.json", "ranking": "yes"}}, ["ranking is text", "true or false"]),
    "ranking is 1": ({"rows": {"file_name": "a.json", "ranking": 1}}, ["ranking is a number"]),
    "ranking alone": (
        {"rows": {"file_name": "a.json", "ranking": True, "columns": {"prompt": "instruction"}}},
        ["columns does not name chosen"],
    ),
    "no prompt": ({"rows": {"file_name": "a.json", "columns": {"images": "images"}}}, ["does not name prompt"]),
    "subset": ({"rows": {"file_name": "a.json", "subset": "x"}}, ["subset belongs to data sets of a hub"]),
    "split": ({"rows": {"file_name": "a.json", "split": "test"}}, ["split is 'test'"]),
    "num_samples": ({"rows": {"file_name": "a.json", "num_samples": 0}}, ["num_samples is 0"]),
    "missing file": ({"rows": {"file_name": "gone.json"}}, ["gone.json does not exist"]),
    "file is an empty folder": ({"rows": {"file_name": ".."}}, ["is a directory without data files"]),
    "NUL in the name": ({"rows": {"file_name": "a\0.json"}}, ["cannot be read"]),
}


def failure(options: Given) -> str:
    """Return message and hint of the DataError that `options` lead to."""
    with pytest.raises(DataError) as error:
        build(options, tiny_tokenizer())
    return f"{error.value.message} | {error.value.hint}"


@pytest.mark.parametrize("case", FILES)
def test_unreadable_file(case: str, tmp_path: Path) -> None:
    ending, content, words = FILES[case]
    name = f"rows.{ending}" if ending else "rows"
    folder(tmp_path, {name: content}, {"rows": {"file_name": name}})
    said = failure(Given(root=tmp_path))
    for word in words:
        assert word in said


@pytest.mark.parametrize("case", ROWS)
@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_bad_row_is_counted_with_its_place_and_the_rest_is_trained(case: str, ending: str, tmp_path: Path) -> None:
    formatting, bad, reason = ROWS[case]
    good = GOODS[formatting]
    name = f"rows.{ending}"
    lines = [json.dumps(row) for row in (good, bad, good)]
    content = "[" + ",".join(lines) + "]" if ending == "json" else "\n".join(lines)
    folder(tmp_path, {name: content}, {"rows": {"file_name": name, "formatting": formatting}})
    report = build(Given(root=tmp_path), tiny_tokenizer()).report
    assert (report.rows, report.bad_count) == (2, 1)
    assert report.bad[0].file == str(tmp_path / "data" / name)
    assert report.bad[0].row == 2
    assert reason in report.bad[0].reason


@pytest.mark.parametrize("case", ROWS)
def test_nothing_but_bad_rows_says_why(case: str, tmp_path: Path) -> None:
    formatting, bad, reason = ROWS[case]
    folder(tmp_path, {"rows.json": [bad] * 5}, {"rows": {"file_name": "rows.json", "formatting": formatting}})
    said = failure(Given(root=tmp_path))
    assert "none of the 5 rows of rows can be used" in said
    assert "rows.json, row 1: " in said
    assert reason in said


@pytest.mark.parametrize("case", CATALOGS)
def test_broken_catalog(case: str, tmp_path: Path) -> None:
    content, words = CATALOGS[case]
    folder(tmp_path, {"a.json": [GOOD]}, content)
    said = failure(Given(root=tmp_path))
    for word in words:
        assert word in said


def test_other_entries_of_the_catalog_are_not_in_the_way(tmp_path: Path) -> None:
    catalog = {"rows": {"file_name": "rows.json"}} | {
        f"other{number}": entry["rows"]
        for number, (entry, _) in enumerate(CATALOGS.values())
        if isinstance(entry, dict) and "rows" in entry
    }
    folder(tmp_path, {"rows.json": [GOOD]}, catalog)
    assert build(Given(root=tmp_path), tiny_tokenizer()).report.rows == 1


def test_lines_that_are_not_json_are_bad_rows_with_their_line_number(tmp_path: Path) -> None:
    text = f'{json.dumps(GOOD)}\n\n{{"instruction": "a"\n{json.dumps(GOOD)}\r\n'
    folder(tmp_path, {"rows.jsonl": text}, {"rows": {"file_name": "rows.jsonl"}})
    report = build(Given(root=tmp_path), tiny_tokenizer()).report
    assert report.rows == 2
    assert [(bad.row, "not valid JSON at column" in bad.reason) for bad in report.bad] == [(3, True)]


@pytest.mark.parametrize("ending", ["json", "jsonl"])
def test_a_utf8_mark_is_accepted(ending: str, tmp_path: Path) -> None:
    text = json.dumps([GOOD]) if ending == "json" else json.dumps(GOOD)
    folder(tmp_path, {f"rows.{ending}": codecs.BOM_UTF8 + text.encode()}, {"rows": {"file_name": f"rows.{ending}"}})
    assert build(Given(root=tmp_path), tiny_tokenizer()).report.bad_count == 0


def test_rows_with_images_are_refused_where_only_text_is_learnt(tmp_path: Path) -> None:
    row = {"messages": [{"role": "user", "content": "<image>One?"}, ANSWER], "images": ["a.png"]}
    entry = {"file_name": "rows.json", "formatting": "openai", "columns": {"messages": "messages", "images": "images"}}
    folder(tmp_path, {"rows.json": [row], "a.png": "x"}, {"rows": entry})
    said = failure(Given(root=tmp_path))
    assert "rows.json, row 1: names " in said
    assert "only text is learnt" in said


def test_no_catalog_at_all(tmp_path: Path) -> None:
    said = failure(Given(root=tmp_path, dataset_dir="nowhere"))
    assert "there is no dataset_info.json in" in said
    assert "nowhere" in said


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path, {"rows.json": [GOOD]}, {"rows": {"file_name": "rows.json"}})
    real = Path.open

    def refuse(path: Path, *args: Any, **more: Any) -> Any:
        if path.name == "rows.json":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, *args, **more)

    monkeypatch.setattr(Path, "open", refuse)
    assert "rows.json may not be read: permission denied" in failure(Given(root=tmp_path))


def test_a_disk_error_is_told_in_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder(tmp_path, {"rows.json": [GOOD]}, {"rows": {"file_name": "rows.json"}})
    real = Path.open

    def fail(path: Path, *args: Any, **more: Any) -> Any:
        if path.name == "rows.json":
            raise OSError(5, "Input/output error", str(path))
        return real(path, *args, **more)

    monkeypatch.setattr(Path, "open", fail)
    assert "rows.json cannot be read: Input/output error" in failure(Given(root=tmp_path))


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    data = folder(tmp_path, {}, {"rows": {"file_name": "rows.json"}})
    os.mkfifo(data / "rows.json")
    assert "rows.json is not a regular file" in failure(Given(root=tmp_path))


def test_the_file_is_a_directory(tmp_path: Path) -> None:
    data = folder(tmp_path, {}, {"rows": {"file_name": "rows.json"}})
    (data / "rows.json").mkdir()
    assert "rows.json is a directory without data files" in failure(Given(root=tmp_path))


def test_a_column_that_no_row_has_is_refused(tmp_path: Path) -> None:
    columns = {"prompt": "instruction", "query": "contxt", "response": "output"}
    folder(tmp_path, {"rows.json": [GOOD]}, {"rows": {"file_name": "rows.json", "columns": columns}})
    assert "no row has the column 'contxt'" in failure(Given(root=tmp_path))


def test_a_column_that_only_later_rows_have_is_fine(tmp_path: Path) -> None:
    columns = {"prompt": "instruction", "system": "who", "response": "output"}
    rows = "\n".join(json.dumps(row) for row in (GOOD, GOOD, one(who="Be brief.")))
    folder(tmp_path, {"rows.jsonl": rows}, {"rows": {"file_name": "rows.jsonl", "columns": columns}})
    assert build(Given(root=tmp_path, max_samples=1), tiny_tokenizer()).report.rows == 1


@pytest.mark.parametrize(
    ("dataset", "words"),
    [
        ("", "names no data set"),
        (None, "names no data set"),
        ((), "names no data set"),
        ("rows,rows", "names rows twice"),
        ("rows,,more", "an empty name"),
        ("gone.jsonl", "gone.jsonl does not exist"),
        ("gone.csv", "gone.csv does not exist"),
        ("./gone", "gone does not exist"),
        ("gone", "there is no data set 'gone'"),
    ],
)
def test_names_that_cannot_be(dataset: Any, words: str, tmp_path: Path) -> None:
    folder(tmp_path, {"rows.json": [GOOD]}, {"rows": {"file_name": "rows.json"}})
    assert words in failure(Given(root=tmp_path, dataset=dataset))


def test_only_the_first_thousand_bad_rows_are_kept_and_all_are_counted(tmp_path: Path) -> None:
    folder(tmp_path, {"rows.json": [GOOD, *[None] * 1500]}, {"rows": {"file_name": "rows.json"}})
    report = build(Given(root=tmp_path), tiny_tokenizer()).report
    assert (len(report.bad), report.bad_count, report.rows) == (1000, 1500, 1)
    assert (
        report.first_reasons(1)
        == f"{tmp_path / 'data' / 'rows.json'}, row 2: the row is null, not an object; and 1499 more"
    )
