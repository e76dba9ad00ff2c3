"""A file named directly: what its columns are taken for is said, and where that is unclear it is asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.data.given import Given, folder
from tests.data.sources_given import read, source
from tuitune.data.conversation import Conversation, Message
from tuitune.data.sources import must_exist, open_sources
from tuitune.errors import DataError

TALK = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]

SAID: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "alpaca": (
        "sft",
        {"instruction": "a", "input": "c", "output": "b"},
        ["instruction is the prompt", "output is the"],
    ),
    "dolly": (
        "sft",
        {"instruction": "a", "context": "c", "response": "b", "category": "x"},
        ["instruction is the prompt", "context is its second part", "response is the answer", "Not read: category"],
    ),
    "alpaca with text": ("sft", {"instruction": "a", "output": "b", "text": "ab"}, ["output is the", "Not read: text"]),
    "question": ("sft", {"question": "a", "answer": "b"}, ["question is the prompt", "answer is the answer"]),
    "metamath": ("sft", {"query": "a", "response": "b", "type": "x"}, ["query is the prompt", "Not read: type"]),
    "input": ("sft", {"input": "a", "output": "b"}, ["input is the prompt", "output is the answer"]),
    "messages": ("sft", {"prompt": "a", "messages": TALK, "system": "s"}, ["messages is the", "system is the system"]),
    "text of alpaca": (
        "pt",
        {"instruction": "a", "output": "b", "text": "ab"},
        ["text is the text", "Not read: instr"],
    ),
    "pair": ("dpo", {"prompt": "a", "chosen": "b", "rejected": "c", "score": 1}, ["chosen is the better", "score"]),
    "label": ("kto", {"prompt": "a", "completion": "b", "label": True}, ["label is the label"]),
    "problem": (
        "grpo",
        {"problem": "a", "solution": "b", "answer": "c"},
        ["problem is the prompt", "answer is the answer"],
    ),
}


@pytest.mark.parametrize("case", SAID)
def test_what_was_found_is_said(case: str, tmp_path: Path) -> None:
    stage, row, words = SAID[case]
    found = source(tmp_path, [row], stage, guessed=True)
    (note,) = found.notes
    for word in words:
        assert word in note
    good, bad = read(found)
    assert (len(good), bad) == (1, [])


ASKED: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "two answers": (
        "sft",
        {"problem": "a", "solution": "b", "answer": "c"},
        ["problem with solution or problem with answer?", '"prompt": "problem", "response": "solution"'],
    ),
    "two pairs": (
        "sft",
        {"prompt": "a", "response": "b", "question": "c", "answer": "d"},
        ["prompt with response or que"],
    ),
    "messages and pair": (
        "sft",
        {"conversations": [{"from": "human", "value": "a"}], "instruction": "c", "output": "d"},
        ["conversations or instruction with output?", '"formatting": "sharegpt"', '"messages": "conversations"'],
    ),
    "two conversations": ("sft", {"messages": TALK, "conversations": TALK}, ["messages or conversations?"]),
    "two prompts": (
        "dpo",
        {"prompt": "a", "question": "b", "chosen": "c", "rejected": "d"},
        ["prompt with chosen with rejected or question"],
    ),
    "two labels": ("kto", {"prompt": "a", "response": "b", "label": True, "desirable": True}, ["label or prompt"]),
    "two texts": ("pt", {"title": "a", "body": "b"}, ["which of its columns are meant, title or body?"]),
    "prompts": ("grpo", {"prompt": "a", "question": "b"}, ["prompt or question?"]),
}


@pytest.mark.parametrize("case", ASKED)
def test_what_is_unclear_is_asked_with_the_words_to_answer(case: str, tmp_path: Path) -> None:
    stage, row, words = ASKED[case]
    with pytest.raises(DataError) as error:
        source(tmp_path, [row], stage, guessed=True)
    said = f"{error.value.message} | {error.value.hint}"
    for word in (*words, "dataset_info.json", '{"my_data": {"file_name": ', "dataset: my_data"):
        assert word in said


def test_the_form_is_told_by_rows_that_have_it(tmp_path: Path) -> None:
    rows = [None, {"messages": []}, {"messages": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}]
    good, bad = read(source(tmp_path, rows, guessed=True))
    assert good == [Conversation((Message("user", "a"), Message("assistant", "b")))]
    assert [number for number, _ in bad] == [1, 2]


def test_a_folder_can_be_named_directly(tmp_path: Path) -> None:
    folder(tmp_path, {"b.jsonl": '{"prompt": "c", "response": "d"}', "a.jsonl": '{"prompt": "a", "response": "b"}'})
    (found,) = open_sources(["./data"], Given(root=tmp_path), lambda *report: None, lambda: None)
    good, _ = read(found)
    assert [talk.messages[0].content for talk in good if isinstance(talk, Conversation)] == ["a", "c"]
    assert found.file == str(tmp_path / "data")


def test_the_catalog_says_what_a_folder_holds(tmp_path: Path) -> None:
    data = folder(tmp_path, {}, {"rows": {"file_name": "parts", "columns": {"prompt": "q", "response": "a"}}})
    (data / "parts").mkdir()
    for number in (2, 1):
        (data / "parts" / f"{number}.csv").write_text(f"q,a\nq{number},a{number}\n")
    (found,) = open_sources(["rows"], Given(root=tmp_path), lambda *report: None, lambda: None)
    good, _ = read(found)
    assert [talk.messages[0].content for talk in good if isinstance(talk, Conversation)] == ["q1", "q2"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gone.jsonl", "gone.jsonl does not exist"),
        ("./gone", "gone does not exist"),
        ("rows.xlsx", "there is no data set 'rows.xlsx'"),
        ("./data/table.xlsx", "files of type .xlsx are not read"),
        ("gone", "there is no data set 'gone'"),
        ("missing", "gone.parquet does not exist"),
        ("script", "script_url names a program"),
        ("scope", "library modelscope is not installed"),
    ],
)
def test_a_check_finds_what_is_not_there(name: str, words: str, tmp_path: Path) -> None:
    catalog = {
        "missing": {"file_name": "gone.parquet"},
        "script": {"script_url": "x"},
        "hub": {"hf_hub_url": "org/name"},
        "scope": {"ms_hub_url": "org/name"},
    }
    folder(tmp_path, {"table.xlsx": "x"}, catalog)
    with pytest.raises(DataError) as error:
        must_exist(name, Given(root=tmp_path))
    assert words in error.value.message
    must_exist("hub", Given(root=tmp_path))
    must_exist("org/name", Given(root=tmp_path, dataset_dir="ONLINE"))
    must_exist("rows", Given(root=tmp_path, dataset_dir="REMOTE:org/name"))


def test_a_fingerprint_changes_with_what_is_read(tmp_path: Path) -> None:
    row = {"instruction": "a", "output": "b"}
    first = source(tmp_path, [row], guessed=True).fingerprint()
    assert source(tmp_path, [row], guessed=True, max_samples=1).fingerprint() != first
    assert source(tmp_path, [row, row], guessed=True).fingerprint() != first
    assert source(tmp_path, [row, row], "grpo", guessed=True).fingerprint() != first
    again = source(tmp_path, [row, row], guessed=True)
    assert again.fingerprint() == again.fingerprint()
