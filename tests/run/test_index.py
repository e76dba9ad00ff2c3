from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from tuitune.errors import RunError
from tuitune.run import index, places, trash
from tuitune.run.directory import RunDir


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def make(path: Path, active: float = 1000.0) -> RunDir:
    run = RunDir.create(path, "seed: 1\n")
    os.utime(run.events, (active, active))
    return run


def test_runs_at_home_and_elsewhere_are_known_the_last_active_first(tmp_path: Path, home: Path) -> None:
    old = make(places.runs() / "old", 1000)
    away = make(tmp_path / "away", 3000)
    new = make(places.runs() / "new", 2000)
    (places.runs() / "junk").mkdir()
    assert index.all_runs() == [new, old]
    for run in (away, away, old):
        index.register(run.path)
    assert index.all_runs() == [away, new, old]
    assert index.latest() == away
    assert len((home / "index.jsonl").read_text().split()) == 1
    assert stat.S_IMODE((home / "index.jsonl").stat().st_mode) == 0o600


def test_what_is_gone_or_torn_is_left_out(tmp_path: Path, home: Path) -> None:
    gone, here = make(tmp_path / "gone"), make(tmp_path / "here")
    index.register(gone.path)
    with (home / "index.jsonl").open("a") as stream:
        stream.write('{"path":"/torn')
    index.register(here.path)
    with (home / "index.jsonl").open("a") as stream:
        stream.write('[1]\n{"path":7}\n{"path":"relative"}\n')
    shutil.rmtree(gone.path)
    assert index.all_runs() == [here]


def test_a_run_is_found_by_name_beginning_and_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make(places.runs() / "20261122-smollm2-sft")
    second = make(places.runs() / "20261123-smollm2-sft")
    short = make(places.runs() / "2026")
    away = make(tmp_path / "away")
    assert index.find("20261122-smollm2-sft") == first
    assert index.find("20261123") == second
    assert index.find("2026") == short
    assert index.find(str(away.path)) == index.find(away.path) == away
    monkeypatch.chdir(tmp_path)
    assert index.find("away") == index.find("./away") == away


def test_an_ambiguous_name_is_refused_with_the_choices(tmp_path: Path) -> None:
    make(places.runs() / "alpha-1")
    make(places.runs() / "alpha-2")
    with pytest.raises(RunError, match="2 runs") as caught:
        index.find("alpha")
    assert {"alpha-1", "alpha-2"} <= set(caught.value.hint.replace("?", "").replace(",", "").split())
    twin = make(tmp_path / "alpha-1")
    index.register(twin.path)
    with pytest.raises(RunError) as caught:
        index.find("alpha-1")
    assert str(twin.path) in caught.value.hint


def test_an_unknown_name_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="no runs yet"):
        index.latest()
    make(places.runs() / "smollm2-sft-lora")
    with pytest.raises(RunError, match="smollm2-stf-lora") as caught:
        index.find("smollm2-stf-lora")
    assert "did you mean smollm2-sft-lora?" in caught.value.hint
    for text in ("zzzz", "", str(tmp_path / "nothing")):
        with pytest.raises(RunError, match="there is no run") as caught:
            index.find(text)
        assert caught.value.hint


def test_a_name_in_a_recipe_may_be_that_of_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = RunDir.create(places.runs() / "judge", "stage: rm\n")
    monkeypatch.chdir(tmp_path)
    assert index.place_of("judge", Path("judge")) == run.path
    assert index.place_of("judg", Path("judg")) == Path("judg")
    assert index.place_of("a/judge", Path("a/judge")) == Path("a/judge")
    (tmp_path / "judge").mkdir()
    assert index.place_of("judge", Path("judge")) == Path("judge")


def test_a_deleted_run_is_known_to_be_in_the_trash() -> None:
    trash.delete(make(places.runs() / "gone"))
    with pytest.raises(RunError, match="gone was deleted") as caught:
        index.find("gone")
    assert "runs restore gone" in caught.value.hint
