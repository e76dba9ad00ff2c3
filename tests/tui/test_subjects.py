"""What can be chosen as the subject of a command."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.given import plant
from tests.face.importing import given
from tests.tui.test_partners import folder, trained  # noqa: F401
from tuitune.face.importing import take_in
from tuitune.run import RunDir
from tuitune.run.imported import Imported
from tuitune.tui.subjects import named, run_of, subjects


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path))
    return tmp_path


def test_a_run_with_weights_is_found_behind_any_number_without(
    folder: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = trained(folder, "tuned")
    others = [RunDir(tmp_path / "runs" / f"failed{n}") for n in range(300)]
    monkeypatch.setattr("tuitune.run.index.all_runs", lambda: [*others, run])
    assert [(item.key, item.title) for item in subjects(["run"])] == [(str(run.path), "tuned")]


def test_an_imported_run_can_be_chosen_where_it_has_weights(tmp_path: Path) -> None:
    run, bare = plant("theirs"), plant("bare")
    (tmp_path / "weights").mkdir()
    Imported("saves/theirs", "LLaMA-Factory", 1.0, str(tmp_path / "weights"), True).keep(run)
    Imported("saves/bare", "LLaMA-Factory", 1.0).keep(bare)
    [item] = subjects(["run"])
    assert (item.key, item.title) == (str(run.path), "theirs")
    assert "imported" in item.note


def test_checkpoints_of_an_imported_run_can_be_chosen_where_they_lie(tmp_path: Path) -> None:
    source = given.factory(tmp_path)
    (source / "checkpoint-200" / "adapter_model.safetensors").unlink()
    run = take_in(source).run
    found = {item.title: item.key for item in subjects(["checkpoint"])}
    assert found == {f"train_1/checkpoint-{n}": str(source / f"checkpoint-{n}") for n in (300, 100)}
    assert named(found["train_1/checkpoint-100"]) == "train_1/checkpoint-100"
    assert run_of(found["train_1/checkpoint-100"]) == run


def test_a_run_in_training_can_be_asked_before_it_has_saved_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    run = plant("learning")
    monkeypatch.setattr("tuitune.tui.subjects.is_live", lambda each: each.path == run.path)
    assert subjects(["run"]) == []
    [item] = subjects(["run"], live=True)
    assert (item.key, item.title) == (str(run.path), "learning")
    assert "as it is now" in item.note
