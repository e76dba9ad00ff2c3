"""Which runs are in use by commands at work, and which are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.given import plant
from tests.face.importing import given
from tuitune.errors import RunError
from tuitune.face import users
from tuitune.face.importing import take_in
from tuitune.face.users import refuse_used


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))


def at_work(monkeypatch: pytest.MonkeyPatch, folder: Path, *words: str) -> None:
    monkeypatch.setattr(users, "all_at_work", lambda: [(("evaluate", *words), str(folder))])


def test_a_run_is_in_use_by_its_name_its_beginning_and_what_lies_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, other = plant("tuned"), plant("other")
    for word in ("tuned", "tun", "tuned/checkpoint-4", str(run.path), f"{run.path}/final", f"model={run.path}"):
        at_work(monkeypatch, tmp_path, word, "--data", str(tmp_path / "held.json"))
        with pytest.raises(RunError, match="tuned is in use: tuitune evaluate"):
            refuse_used(run)
        refuse_used(other)


def test_an_imported_run_is_in_use_where_its_weights_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = given.factory(tmp_path)
    run = take_in(folder, name="theirs").run
    for word in (str(folder / "checkpoint-100"), "saves/Qwen/lora/train_1"):
        at_work(monkeypatch, tmp_path, word)
        with pytest.raises(RunError, match="theirs is in use"):
            refuse_used(run)
    at_work(monkeypatch, tmp_path, str(folder.parent / "train_10"))
    refuse_used(run)
