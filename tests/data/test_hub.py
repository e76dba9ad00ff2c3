"""Data sets of hubs: which files are fetched, from the network or the cache, and what is refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from tests.data.given import Given, folder
from tests.data.sources_given import read
from tests.models.fake_hub import fake_hub
from tuitune.data.conversation import Conversation
from tuitune.data.entry import Remote
from tuitune.data.hub import fetch
from tuitune.data.repo import choose
from tuitune.data.sources import Source, open_sources
from tuitune.errors import DataError


def rows(word: str) -> bytes:
    return json.dumps([{"prompt": f"{word}?", "response": word}]).encode()


def parquet(word: str) -> bytes:
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(json.loads(rows(word))), sink)
    return sink.getvalue().to_pybytes()


CARD = """---
license: mit
configs:
- config_name: en
  default: true
  data_files:
  - split: train
    path: en/part-*.json
  - split: test
    path: [en/held.json]
- config_name: zh
  data_dir: zh
  data_files: "**/*.json"
---
About.
"""
FILES = {
    "README.md": CARD.encode(),
    "en/part-1.json": rows("one"),
    "en/part-2.json": rows("two"),
    "en/held.json": rows("held"),
    "zh/a/b.json": rows("zh"),
    "script.py": b"raise SystemExit",
    "dataset_info.json": json.dumps(
        {"theirs": {"file_name": "en/held.json", "columns": {"prompt": "prompt", "response": "response"}}}
    ).encode(),
}
REFUSALS = {"org/gated": (403, "GatedRepo"), "org/broken": (500, "")}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HUB_OFFLINE", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    for name in ("HF_HUB_ETAG_TIMEOUT", "HF_HUB_DOWNLOAD_TIMEOUT"):
        monkeypatch.setenv(name, "300")
    return tmp_path


@pytest.fixture
def served(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    with fake_hub("org/name", FILES, REFUSALS, "datasets") as (address, log):
        monkeypatch.setenv("HF_ENDPOINT", address)
        yield log


def opened(root: Path, entry: dict[str, Any] | None = None, **changes: Any) -> Source:
    folder(root, {}, {"rows": {"columns": {"prompt": "prompt", "response": "response"}, **(entry or {})}})
    given = {"dataset": "rows", "root": root, **changes}
    (found,) = open_sources([str(given["dataset"])], Given(**given), lambda *report: None, lambda: None)
    return found


def answers(found: Source) -> list[str]:
    good, bad = read(found)
    assert not bad
    return [talk.messages[-1].content for talk in good if isinstance(talk, Conversation)]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({}, ["one", "two"]),
        ({"subset": "en", "split": "test"}, ["held"]),
        ({"subset": "zh"}, ["zh"]),
        ({"folder": "zh"}, ["zh"]),
        ({"num_samples": 1}, None),
    ],
)
def test_the_card_says_which_files_are_read(served: list[str], home: Path, entry: dict[str, Any], words: Any) -> None:
    found = opened(home, {"hf_hub_url": "org/name", **entry})
    said = answers(found)
    assert said == words if words else len(said) == 1
    assert "org/name: " in found.notes[0]
    assert not [path for path in served if path.endswith(".py")]
    assert all(str(home / "hf") in str(path) for path in found.paths)


def test_online_names_are_repositories_and_their_form_is_found(served: list[str], home: Path) -> None:
    found = opened(home, dataset="org/name", dataset_dir="ONLINE")
    assert answers(found) == ["one", "two"]
    assert "prompt is the prompt, response is the answer" in " ".join(found.notes)
    assert opened(home, dataset="identity", dataset_dir="ONLINE").file == "identity_en.json (built in)"
    (home / "own.json").write_bytes(rows("own"))
    assert answers(opened(home, dataset="own.json", dataset_dir="ONLINE")) == ["own"]


def test_a_catalog_may_lie_on_the_hub_and_name_files_there(served: list[str], home: Path) -> None:
    found = opened(home, dataset="theirs", dataset_dir="REMOTE:org/name")
    assert answers(found) == ["held"]
    with pytest.raises(DataError, match="no data set 'rows'"):
        opened(home, dataset_dir="REMOTE:org/name")


def test_what_was_fetched_is_read_without_a_network(
    served: list[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = {"hf_hub_url": "org/name"}
    with monkeypatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        with pytest.raises(DataError, match="HF_HUB_OFFLINE forbids fetching it"):
            opened(home, entry)
    assert answers(opened(home, entry)) == ["one", "two"]
    asked = len(served)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert answers(opened(home, entry)) == ["one", "two"]
    assert len(served) == asked
    with pytest.raises(DataError, match=r"is not on this machine|no data files"):
        opened(home, entry | {"subset": "zh"})


def test_a_cache_that_another_program_filled_is_read(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = "a" * 40
    repo = home / "hub" / "datasets--org--cached"
    snapshot = repo / "snapshots" / commit / "data"
    snapshot.mkdir(parents=True)
    (repo / "refs").mkdir()
    (repo / "refs" / "main").write_text(commit)
    for split in ("train", "test"):
        (snapshot / f"{split}-00000-of-00001.parquet").write_bytes(parquet(split))
    monkeypatch.setenv("HF_HUB_CACHE", str(home / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert answers(opened(home, {"hf_hub_url": "org/cached"})) == ["train"]
    assert answers(opened(home, {"hf_hub_url": "org/cached", "split": "test"})) == ["test"]
    (snapshot / "train-00000-of-00001.parquet").rename(snapshot / "train-00000-of-00002.parquet")
    with pytest.raises(DataError, match="1 of the 2 files of data/train are there"):
        opened(home, {"hf_hub_url": "org/cached"})


def test_a_download_reports_bytes_and_can_be_ended(served: list[str], home: Path) -> None:
    reports: list[tuple[str, int, int | None]] = []
    remote = Remote("hf", "org/name")
    fetch(remote, lambda *report: reports.append(report), lambda: None)
    total = len(FILES["en/part-1.json"]) + len(FILES["en/part-2.json"])
    assert reports[0][0] == "look up org/name"
    assert reports[-1] == ("download", total, total)

    class Stop(Exception):
        pass

    def stop() -> None:
        raise Stop

    with pytest.raises(Stop):
        fetch(Remote("hf", "org/name", "zh"), lambda *report: None, stop)


@pytest.mark.parametrize(
    ("repo", "words"),
    [
        ("org/gone", "there is no data set 'org/gone'"),
        ("org/gated", "org/gated is gated"),
        ("org/broken", "cannot fetch org/broken from http://127.0.0.1"),
        ("no name at all", "cannot be the name of a data set"),
    ],
)
def test_what_the_hub_refuses_is_said(served: list[str], home: Path, repo: str, words: str) -> None:
    with pytest.raises(DataError) as error:
        opened(home, {"hf_hub_url": repo})
    assert words in error.value.message
    assert error.value.hint


def test_a_program_is_never_run_and_what_the_hub_made_of_it_is_read(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"script.py": b"raise SystemExit", "README.md": b"about"}
    made = {
        "refs/convert/parquet": {
            "small/train/0000.parquet": parquet("small"),
            "large/train/0000.parquet": parquet("one"),
            "large/train/0001.parquet": parquet("two"),
            "large/test/0000.parquet": parquet("held"),
        }
    }
    entry = {"hf_hub_url": "org/code", "subset": "large"}
    with fake_hub("org/code", files, {}, "datasets", made) as (address, log):
        monkeypatch.setenv("HF_ENDPOINT", address)
        assert answers(opened(home, entry)) == ["one", "two"]
        with pytest.raises(DataError, match="has no default/train") as error:
            opened(home, {"hf_hub_url": "org/code"})
        assert "large/test, large/train, small/train" in error.value.hint
        assert not [path for path in log if path.endswith(".py")]
    with monkeypatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        assert answers(opened(home, entry)) == ["one", "two"]
    with fake_hub("org/code", files, {}, "datasets") as (address, _):
        monkeypatch.setenv("HF_ENDPOINT", address)
        with pytest.raises(DataError, match=r"a program that makes them \(script\.py\)"):
            opened(home, entry)


# files, what is wanted, what is chosen (or the words of the refusal)
CHOICES: dict[str, tuple[list[str], dict[str, str], list[str] | str]] = {
    "shards": (
        ["data/train-00001-of-00002.parquet", "data/train-00000-of-00002.parquet", "data/test-00000-of-00001.parquet"],
        {},
        ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"],
    ),
    "a shard is missing": (["train-00001-of-00002.parquet"], {}, "1 of the 2 files of train are there"),
    "one file": (["alpaca_data.json"], {}, ["alpaca_data.json"]),
    "folders": (["train/a.csv", "test/a.csv", "train/b.csv"], {}, ["train/a.csv", "train/b.csv"]),
    "validation by another name": (["my_dev.jsonl", "my_train.jsonl"], {"split": "validation"}, ["my_dev.jsonl"]),
    "words within words": (["training_set.json", "trained.json", "latest.json"], {}, ["training_set.json"]),
    "subset as a folder": (["main/train.jsonl", "socratic/train.jsonl"], {"subset": "main"}, ["main/train.jsonl"]),
    "folder": (["v1/train.json", "v2/train.json"], {"folder": "v2/"}, ["v2/train.json"]),
    "the most frequent type": (["a.json", "b.json", "c.csv", "info.txt"], {}, ["a.json", "b.json"]),
    "parquet of equals": (["a.json", "a.parquet"], {}, ["a.parquet"]),
    "no rows beside": (["dataset_infos.json", ".gitattributes", "a.csv"], {}, ["a.csv"]),
    "no such split": (
        ["train.json", "test.json"],
        {"split": "validation"},
        "has no split 'validation' | It has: test, t",
    ),
    "no split at all": (["a.json"], {"split": "test"}, "has no split 'test' | It has: train"),
    "no such folder": (["v1/a.json"], {"folder": "v3"}, "has no folder 'v3' | It has: v1"),
    "no such subset": (["v1/a.json"], {"subset": "v3"}, "has no subset 'v3' | Its folders: v1"),
    "a slice": (["a.json"], {"split": "train[:10]"}, "split 'train[:10]' is not a name"),
    "packed": (["train.jsonl.gz"], {}, "keeps its rows packed, such as train.jsonl.gz"),
    "code": (["name.py"], {}, "a program that makes them (name.py)"),
    "nothing": ([".gitattributes"], {}, "holds no data files"),
}


@pytest.mark.parametrize("case", CHOICES)
def test_files_are_chosen_by_their_names(case: str) -> None:
    names, wanted, expected = CHOICES[case]
    remote = Remote("hf", "org/name", **wanted)  # type: ignore[arg-type]
    if isinstance(expected, list):
        assert choose(names, "", remote) == expected
        return
    with pytest.raises(DataError) as error:
        choose(names, "", remote)
    assert expected in f"{error.value.message} | {error.value.hint}"


@pytest.mark.parametrize(
    ("card", "wanted", "expected"),
    [
        (
            "configs: [{config_name: a, data_files: a/*}, {config_name: b}]",
            {},
            "has several subsets | Set subset to one",
        ),
        ("configs: [{config_name: a, data_files: a/*}]", {"subset": "c"}, "has no subset 'c'"),
        ("configs: [{config_name: a, data_files: a/*}]", {"split": "test"}, "has no split 'test' | It has: train"),
        ("configs: [{config_name: a, data_files: 'a/*'}]", {}, ["a/train.json"]),
        ("configs: [{data_files: [{split: train, path: '**/t*.json'}]}]", {}, ["a/train.json", "train.json"]),
        ("configs: nonsense", {}, ["a/train.json", "train.json"]),
        ("{[broken", {}, ["a/train.json", "train.json"]),
    ],
)
def test_cards_of_all_kinds(card: str, wanted: dict[str, str], expected: list[str] | str) -> None:
    remote = Remote("hf", "org/name", **wanted)  # type: ignore[arg-type]
    names = ["train.json", "a/train.json"]
    if isinstance(expected, list):
        assert choose(names, f"---\n{card}\n---\n", remote) == expected
        return
    with pytest.raises(DataError) as error:
        choose(names, f"---\n{card}\n---\n", remote)
    assert expected in f"{error.value.message} | {error.value.hint}"


def test_modelscope_and_modelers_through_their_own_libraries(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = home / "there"
    there.mkdir()
    (there / "train.json").write_bytes(rows("theirs"))

    def fetched(repo: str, **options: Any) -> str:
        if repo != "org/name":
            raise ConnectionError("no route")
        return str(there)

    monkeypatch.setattr("tuitune.data.hub.importlib.util.find_spec", lambda name: name)
    scope = SimpleNamespace(dataset_snapshot_download=fetched)
    monkeypatch.setitem(sys.modules, "modelscope", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "modelscope.hub", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "modelscope.hub.snapshot_download", scope)
    monkeypatch.setitem(sys.modules, "openmind_hub", SimpleNamespace(snapshot_download=fetched))
    for key, service in (("ms_hub_url", "ModelScope"), ("om_hub_url", "Modelers")):
        assert answers(opened(home, {key: "org/name"})) == ["theirs"]
        with pytest.raises(DataError, match=f"from {service}: no route"):
            opened(home, {key: "org/other"})
