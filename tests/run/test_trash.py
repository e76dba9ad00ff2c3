from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from tuitune.errors import RunError, UsageError
from tuitune.run import RunDir, State, index, places, trash


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUITUNE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def made(name: str = "one", at: Path | None = None) -> RunDir:
    run = RunDir.create((at or places.runs()) / name, f"dataset: {name}\n")
    (run.path / "final").mkdir()
    (run.path / "final" / "weights").write_bytes(b"w" * 1000)
    index.register(run.path)
    return run


def test_a_deleted_run_is_gone_from_the_list_and_comes_back_as_it_was() -> None:
    run = made()
    before = {path.relative_to(run.path): path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    gone = trash.delete(run)
    assert index.all_runs() == []
    assert not run.path.exists()
    assert [each.id for each in trash.trashed()] == [gone.id]
    assert (gone.name, gone.path, gone.size >= 1000) == ("one", str(run.path), True)
    back = trash.restore_run(trash.find("one"))
    assert back == run
    after = {path.relative_to(run.path): path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    assert {name: data for name, data in after.items() if name.name != ".lock"} == before
    assert trash.trashed() == []
    assert list((places.home() / "trash").iterdir()) == []


def test_a_run_that_trains_is_not_deleted() -> None:
    run = made()
    with run.lock(), pytest.raises(RunError, match="in use"):
        trash.delete(run)
    State.here().write(run.state)
    with pytest.raises(RunError, match="is training") as caught:
        trash.delete(run)
    assert "tuitune stop one" in caught.value.hint
    assert run.is_run()
    assert trash.trashed() == []


def test_where_the_user_stands_is_not_deleted(monkeypatch: pytest.MonkeyPatch) -> None:
    run = made()
    monkeypatch.chdir(run.final)
    with pytest.raises(RunError, match="current or home directory"):
        trash.delete(run)
    assert run.is_run()


def test_a_taken_place_gives_the_restored_run_a_free_name() -> None:
    gone = trash.delete(made())
    other = made()
    back = trash.restore_run(gone)
    assert back.name == "one-2"
    assert other.is_run()
    assert {run.name for run in index.all_runs()} == {"one", "one-2"}


def test_a_run_on_another_file_system_has_its_trash_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = made("far", tmp_path / "disk")
    rename = Path.rename

    def across(self: Path, target: Any) -> Path:
        if str(target).startswith(str(tmp_path / "home")):
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", across)
    gone = trash.delete(run)
    assert Path(gone.place).is_relative_to(tmp_path / "disk" / ".tuitune-trash")
    assert [each.name for each in trash.trashed()] == ["far"]
    assert trash.restore_run(gone) == run
    assert not (tmp_path / "disk" / ".tuitune-trash").exists()
    assert {each.name for each in index.all_runs()} == {"far"}


def test_purging_frees_the_room_and_follows_no_links(tmp_path: Path) -> None:
    run = made()
    (tmp_path / "mine").write_text("stays")
    (run.path / "link").symlink_to(tmp_path)
    gone = trash.delete(run)
    assert trash.purge(gone) >= 1000
    assert not os.path.lexists(gone.place)
    assert trash.trashed() == []
    assert (tmp_path / "mine").read_text() == "stays"


def test_a_record_cannot_point_the_purge_elsewhere(tmp_path: Path) -> None:
    gone = trash.delete(made())
    record = places.home() / "trash" / gone.id / "trashed.json"
    victim = tmp_path / "victim"
    victim.mkdir()
    record.write_bytes(orjson.dumps({"id": gone.id, "path": gone.path, "place": str(victim), "when": 1.0}))
    assert trash.trashed() == []
    with pytest.raises(UsageError, match="no run 'one' in the trash"):
        trash.find("one")


def test_the_newest_of_one_name_is_meant_and_an_unknown_one_is_refused() -> None:
    first = trash.delete(made())
    second = trash.delete(made())
    assert {trash.find("one").id, trash.find(first.id).id} == {second.id, first.id}
    with pytest.raises(UsageError) as caught:
        trash.find("two")
    assert "it holds one, one" in caught.value.hint
